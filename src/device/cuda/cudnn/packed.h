// Attention over packed sequences by another library's kernels: what the device asks of cuDNN.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "device/cuda/attention_choice.h"
#include "device/cuda/packing_plan.h"

namespace thresher::device::cuda {

// All tensors are bf16, with heads of `shape.head_size` numbers side by side. Their first row is row `first_row` as
// `starts` count.
struct PackedCall {
  Tensor q, k, v, out;
  Tensor starts;  // i32, 1 x (sequences + 1), on the GPU
  std::int64_t sequences = 0;
  std::int64_t first_row = 0;
  float scale = 0;
  PackedShape shape;  // a bucket that holds them
};

class PackedAttention {
 public:
  virtual ~PackedAttention() = default;

  // "9.19.0"
  virtual std::string version() const = 0;
  // Engines for a bucket, by the library's own order, with all settings said; none where it has none for this GPU.
  virtual std::vector<Engine> engines(const PackedShape& shape) = 0;
  // Bytes of memory that the engine works in; compiles it where no call of this shape has been. Throws base::Error (os)
  // where the engine does not serve the shape.
  virtual std::int64_t prepare(const PackedShape& shape, const Engine& engine) = 0;
  // Puts the work on the stream. Compiles, and makes room, where no call of this shape has been.
  virtual void run(const PackedCall& call, const Engine& engine) = 0;
};

// cuDNN on this GPU and stream, which must outlive it. Null where it cannot be had, and why in `trouble`.
std::unique_ptr<PackedAttention> make_packed_attention(int gpu, cudaStream_t stream, std::string& trouble);

}  // namespace thresher::device::cuda
