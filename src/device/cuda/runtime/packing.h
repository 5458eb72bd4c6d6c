// Attention's calls as cuDNN takes them: in bf16, by chunks of sequences and runs of heads that share kv heads evenly.
#pragma once

#include "device/cuda/cudnn/packed.h"
#include "device/cuda/runtime/memory.h"

namespace thresher::device::cuda {

struct AttentionCall {
  Tensor q, k, v;
  Sequences sequences;
  AttendOptions options;
  Tensor out;
};

class Packing {
 public:
  // `attention` must outlive this.
  Packing(int gpu, cudaStream_t stream, PackedAttention& attention)
      : gpu_(gpu), stream_(stream), attention_(attention) {}

  // Rows of f32 are rounded to bf16 before. Buckets are those for at least `least_sequences` of at least `least_rows`.
  void run(const AttentionCall& call, const Engine& engine, std::int64_t least_sequences = 0,
           std::int64_t least_rows = 0);

 private:
  // q, k and v side by side in memory of our own.
  AttentionCall rounded(const AttentionCall& call);

  int gpu_;
  cudaStream_t stream_;
  PackedAttention& attention_;
  Buffer rounded_;
};

}  // namespace thresher::device::cuda
