// What was read of a checkpoint, known by the digests of its tensors' pieces: on one rank, or gathered from many.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "model/names.h"
#include "thresher/base/hash.h"
#include "thresher/model/checkpoint.h"

namespace thresher::model {

class Contents {
 public:
  // The tensors that make up the model; none of their pieces is known yet.
  Contents(const Checkpoint& checkpoint, const std::map<std::string, Slot>& tensors, const ModelConfig& config);

  // Throws base::Error (data) if the piece is known with another digest: two ranks read different files.
  void add(const std::string& tensor, std::int64_t piece, const base::Digest& digest);
  // What is known, as bytes for another rank, and the way back.
  std::string pack() const;
  void merge(std::string_view packed);

  // Whether two tensors are the same in dtype, shape and content; all pieces of both must be known.
  bool equal(const std::string& a, const std::string& b) const;
  // Of config.json's text and of name, dtype, shape and content of every tensor; all pieces must be known. The order of
  // reading, the division into files and that among ranks do not matter.
  base::Digest digest(std::string_view config_text) const;

 private:
  struct Tensor {
    std::string label;  // dtype and shape
    std::int64_t pieces = 0;
    std::map<std::int64_t, base::Digest> known;
  };
  base::Digest content(const std::string& name, const Tensor& tensor) const;

  std::map<std::string, Tensor> tensors_;
};

}  // namespace thresher::model
