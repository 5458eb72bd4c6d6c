// Rotary positions, in place: a warp a head.
#pragma once

#include "device/cuda/kernels/common.cuh"

namespace thresher::device::cuda {

struct RopeTable {
  const std::int32_t* rows;
  Rows<const float> cos, sin;
  const float* gain;  // or nullptr
  float epsilon;
};

template <class T>
__device__ inline float head_factor(const T* head, std::int64_t size, float epsilon) {
  float squares = 0;
  for (std::int64_t i = threadIdx.x % warp_lanes; i < size; i += warp_lanes) {
    const float value = read(head[i]);
    squares = fmaf(value, value, squares);
  }
  return 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(size) + epsilon);
}

// A block a token; its warps take heads in turn. Lane l turns pairs l, l + 32, ... and reads nobody else's numbers
// after the norm's sum.
template <class T>
__global__ void rope_heads(Rows<T> x, RopeTable table, std::int64_t size, std::int64_t heads) {
  const std::int64_t token = blockIdx.x, half = size / 2, angle = table.rows[token];
  const float* cos = table.cos[angle];
  const float* sin = table.sin[angle];
  for (std::int64_t h = threadIdx.x / warp_lanes; h < heads; h += blockDim.x / warp_lanes) {
    T* head = x[token] + h * size;
    const float factor = table.gain ? head_factor(head, size, table.epsilon) : 1.0f;
    for (std::int64_t i = threadIdx.x % warp_lanes; i < half; i += warp_lanes) {
      float low = read(head[i]), high = read(head[i + half]);
      if (table.gain) {
        low = low * factor * table.gain[i];
        high = high * factor * table.gain[i + half];
      }
      write(head[i], fmaf(low, cos[i], -(high * sin[i])));
      write(head[i + half], fmaf(high, cos[i], low * sin[i]));
    }
  }
}

}  // namespace thresher::device::cuda
