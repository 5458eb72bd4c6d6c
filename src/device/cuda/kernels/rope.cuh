// Rotary positions, in place: a warp a head of a token.
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

// Lane l turns pairs l, l + 32, ... and reads nobody else's numbers after the norm's sum.
template <class T>
__global__ void rope_heads(Rows<T> x, RopeTable table, std::int64_t size, std::int64_t heads, std::int64_t tokens) {
  const std::int64_t task = std::int64_t{blockIdx.x} * (blockDim.x / warp_lanes) + threadIdx.x / warp_lanes;
  if (task >= tokens * heads) return;
  const std::int64_t token = task / heads, half = size / 2, angle = table.rows[token];
  T* head = x[token] + task % heads * size;
  const float factor = table.gain ? head_factor(head, size, table.epsilon) : 1.0f;
  for (std::int64_t i = threadIdx.x % warp_lanes; i < half; i += warp_lanes) {
    float low = read(head[i]), high = read(head[i + half]);
    if (table.gain) {
      low = low * factor * table.gain[i];
      high = high * factor * table.gain[i + half];
    }
    const float c = table.cos[angle][i], s = table.sin[angle][i];
    write(head[i], fmaf(low, c, -(high * s)));
    write(head[i + half], fmaf(high, c, low * s));
  }
}

}  // namespace thresher::device::cuda
