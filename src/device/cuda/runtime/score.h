// The streamed head on a GPU: products of a chunk of rows and one vocabulary tile, each reduced by a pass on a second
// stream while the next is computed. Memory as `plan_score` says.
#pragma once

#include <array>

#include "device/cuda/chunks.h"
#include "device/cuda/kernels/kernels.h"
#include "device/cuda/runtime/product.h"
#include "device/cuda/runtime/timeline.h"
#include "device/cuda/runtime/weight.h"

namespace thresher::device::cuda {

class Score {
 public:
  Score(int gpu, cudaStream_t stream, Products& products, Timeline& timeline);

  // Scratch for heads of this shape.
  void reserve(const ScoreShape& shape);
  // See Device; no extent is 0.
  void target_logits(const Tensor& hidden, const CudaWeight& head, const Tensor& targets, std::int64_t first_id,
                     const Tensor& out);
  void run(const Tensor& hidden, const CudaWeight& head, const ScoreQuestion& question, const ScoreParts& parts);
  // Complete when the stream has been waited for and the timeline collected.
  const ScoreTime& time() const { return time_; }

 private:
  // Logits of one tile, filled on the first stream and read on the second.
  struct Logits {
    Buffer memory;
    EventHandle filled, read;
    bool in_use = false;
  };
  struct Chunk;
  void tile(const Chunk& chunk, std::int64_t index);
  void nothing(const Chunk& chunk);
  void merge(const Chunk& chunk);
  Tensor aligned_hidden(const Tensor& hidden);
  ScorePlan sized(const Tensor& hidden, const CudaWeight& head);
  // Tile `index` of the head with all its rows: those that the head lacks at its end are zeros.
  Tensor head_tile(const CudaWeight& head, std::int64_t index);
  void multiply(const Tensor& hidden, const Tensor& tile, const Tensor& logits);

  int gpu_;
  cudaStream_t stream_;
  StreamHandle side_;
  Products& products_;
  Timeline& timeline_;
  std::array<Logits, logits_buffers> logits_;
  std::size_t turn_ = 0;
  Buffer parts_, head_tile_, hidden_;
  EventHandle merged_;
  ScoreTime time_;
};

}  // namespace thresher::device::cuda
