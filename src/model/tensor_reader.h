// Tensors of a checkpoint in host memory: checked for NaN and infinity, and hashed on the way.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/hash.h"
#include "thresher/model/checkpoint.h"
#include "thresher/tensor/buffer.h"

namespace thresher::model {

struct HostMatrix {
  tensor::Buffer memory;
  tensor::Tensor view;
};

// The same numbers in another dtype; bf16 rounds to nearest even.
HostMatrix converted(HostMatrix matrix, tensor::DType dtype);

class TensorReader {
 public:
  // The checkpoint must outlive this.
  explicit TensorReader(Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  bool has(std::string_view name) const { return checkpoint_.find(name) != nullptr; }
  // Tensors of one width below each other; a tensor of one dimension is a column. In the dtype they are stored in, or
  // f32 where those differ. Throws base::Error (data) naming the tensor that holds a NaN or an infinity.
  HostMatrix read(const std::vector<std::string>& names);
  // Whether two tensors that were read hold the same bytes in the same dtype and shape.
  bool equal(const std::string& a, const std::string& b) const;

  std::int64_t bytes_read() const { return bytes_read_; }
  // Of config.json's text and of name, dtype, shape and bytes of every tensor read, by sorted names: the order of
  // reading and the division into files do not matter.
  base::Digest digest(std::string_view config_text) const;

 private:
  void read_into(const std::string& name, const tensor::Tensor& destination);

  Checkpoint& checkpoint_;
  std::int64_t bytes_read_ = 0;
  std::map<std::string, base::Digest> contents_;
};

}  // namespace thresher::model
