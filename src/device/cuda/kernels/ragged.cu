#include "device/cuda/kernels/common.cuh"

namespace thresher::device::cuda {
namespace {

constexpr unsigned ragged_threads = 128;

__global__ void ragged_places(const std::int32_t* starts, Ragged to) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i > to.room) return;
  const std::int64_t s = i < to.sequences ? i : to.sequences;
  const std::int64_t row = starts[s] - to.first_row;
  for (int matrix = 0; matrix < 4; ++matrix) to.offsets[matrix][i] = row * to.strides[matrix];
  if (i < to.room) to.lengths[i] = s < to.sequences ? starts[s + 1] - starts[s] : 0;
}

}  // namespace

void ragged(const Ragged& to, Stream stream) {
  launch("ragged", ragged_places, blocks_for(to.room + 1, ragged_threads), ragged_threads, 0, stream,
         to.starts.as<const std::int32_t>(), to);
}

}  // namespace thresher::device::cuda
