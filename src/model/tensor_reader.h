// Parts of a checkpoint's tensors in host memory: checked for NaN and infinity, and hashed on the way.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/contents.h"
#include "thresher/comm/comm.h"
#include "thresher/model/checkpoint.h"
#include "thresher/tensor/buffer.h"

namespace thresher::model {

struct HostMatrix {
  tensor::Buffer memory;
  tensor::Tensor view;
};

// The same numbers in another dtype; bf16 rounds to nearest even.
HostMatrix converted(HostMatrix matrix, tensor::DType dtype);

// Neighbouring pieces of a tensor.
struct Slice {
  std::string name;
  Pieces pieces;
  Range held;

  std::int64_t first() const { return pieces.bounds[static_cast<std::size_t>(held.first)]; }
  std::int64_t last() const { return pieces.bounds[static_cast<std::size_t>(held.last)]; }
};

class TensorReader {
 public:
  // Checkpoint and contents must outlive this; what is read is added to the contents. With `peers`, ranks that read the
  // same slices in the same order, the first of them reads and the others hear from it: `read` is Collective then.
  TensorReader(Checkpoint& checkpoint, Contents& contents, comm::Comm* peers)
      : checkpoint_(checkpoint), contents_(contents), peers_(peers) {}

  bool has(std::string_view name) const { return checkpoint_.find(name) != nullptr; }
  // Slices of one width below each other (a single one, if of columns); a tensor of one dimension is a column. In the
  // dtype they are stored in, or f32 where those differ. Throws base::Error (data) naming the tensor that holds a NaN
  // or an infinity.
  HostMatrix read(const std::vector<Slice>& slices);

  // From files, by this rank.
  std::int64_t bytes_read() const { return bytes_read_; }

 private:
  struct Extent;
  struct Chunk;
  Extent extent_of(const Slice& slice) const;
  void read_into(const Slice& slice, const tensor::Tensor& destination);
  void fetch(const Chunk& chunk, std::span<std::byte> bytes);
  void fetch_here(const Chunk& chunk, std::span<std::byte> bytes);

  Checkpoint& checkpoint_;
  Contents& contents_;
  comm::Comm* peers_;
  std::int64_t bytes_read_ = 0;
  std::vector<std::byte> message_;
};

}  // namespace thresher::model
