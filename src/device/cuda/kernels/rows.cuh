// Steps that treat each row by itself: embedding, norm, gate, sums. A block a row; thread t has columns 4 t .. 4 t + 3,
// then those 4 blockDim.x further on, whether or not they can be read at once.
#pragma once

#include "device/cuda/kernels/common.cuh"

namespace thresher::device::cuda {

// Of the block's row: calls body(first column of four, how many of them are columns).
template <class Body>
__device__ inline void for_fours(std::int64_t columns, Body body) {
  for (std::int64_t c = std::int64_t{threadIdx.x} * 4; c < columns; c += std::int64_t{blockDim.x} * 4)
    body(c, columns - c);
}

template <class From, class To>
__global__ void embed_rows(const std::int32_t* ids, Rows<const From> table, std::int64_t first_id, std::int64_t count,
                           Rows<To> out, std::int64_t columns, bool whole) {
  const std::int64_t r = blockIdx.x, id = ids[r] - first_id;
  const bool here = id >= 0 && id < count;
  for_fours(columns, [&](std::int64_t c, std::int64_t left) {
    store_four(out[r] + c, here ? load_four(table[id] + c, left, whole) : Four{}, left, whole);
  });
}

// Sum of the block's numbers; `sums` holds one float a warp and may be used again after the next barrier only.
__device__ inline float block_sum(float value, float* sums) {
  value = warp_sum(value);
  if (threadIdx.x % warp_lanes == 0) sums[threadIdx.x / warp_lanes] = value;
  __syncthreads();
  float total = 0;
  for (unsigned w = 0; w < blockDim.x / warp_lanes; ++w) total += sums[w];
  return total;
}

template <class To>
__global__ void norm_rows(Rows<const float> x, const std::int32_t* rows, const float* gain, float epsilon, Rows<To> out,
                          std::int64_t columns, bool whole) {
  const std::int64_t r = blockIdx.x;
  const float* from = x[rows ? rows[r] : r];
  float squares = 0;
  for_fours(columns, [&](std::int64_t c, std::int64_t left) {
    const Four four = load_four(from + c, left, whole);
    for (int i = 0; i < 4; ++i) squares = fmaf(four.v[i], four.v[i], squares);
  });
  const float mean = block_sum(squares, reinterpret_cast<float*>(shared_memory())) / static_cast<float>(columns);
  const float factor = 1.0f / sqrtf(mean + epsilon);
  for_fours(columns, [&](std::int64_t c, std::int64_t left) {
    Four four = load_four(from + c, left, whole);
    const Four gains = load_four(gain + c, left, whole);
    for (int i = 0; i < 4; ++i) four.v[i] = four.v[i] * factor * gains.v[i];
    store_four(out[r] + c, four, left, whole);
  });
}

struct Silu {
  __device__ float operator()(float x) const { return x / (1.0f + expf(-x)); }
};
// x Phi(x).
struct Gelu {
  __device__ float operator()(float x) const { return 0.5f * x * erfcf(-0x1.6a09e6p-1f * x); }
};
// x (1 + tanh u) / 2 = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3). (Hendrycks and Gimpel 2016.)
struct GeluTanh {
  __device__ float operator()(float x) const {
    const float u = fmaf(0.044715f * x * x, x, x);
    return x / (1.0f + expf(-2.0f * 0.7978845608028654f * u));
  }
};

template <class From, class To, class Activate>
__global__ void gate_rows(Rows<const From> x, Rows<To> out, std::int64_t columns, Activate activate, bool whole) {
  const std::int64_t r = blockIdx.x;
  for_fours(columns, [&](std::int64_t c, std::int64_t left) {
    Four four = load_four(x[r] + c, left, whole);
    const Four up = load_four(x[r] + columns + c, left, whole);
    for (int i = 0; i < 4; ++i) four.v[i] = activate(four.v[i]) * up.v[i];
    store_four(out[r] + c, four, left, whole);
  });
}

// Neighbours first: ((0+1)+(2+3))+((4+5)+(6+7)).
template <int count>
__device__ inline Four sum_of_pieces(const float* p, std::int64_t piece_stride, std::int64_t left, bool whole) {
  if constexpr (count == 1) {
    return load_four(p, left, whole);
  } else {
    Four sum = sum_of_pieces<count / 2>(p, piece_stride, left, whole);
    const Four other = sum_of_pieces<count / 2>(p + count / 2 * piece_stride, piece_stride, left, whole);
    for (int i = 0; i < 4; ++i) sum.v[i] += other.v[i];
    return sum;
  }
}

template <int count, class To>
__global__ void finish_rows(Rows<const float> pieces, std::int64_t piece_stride, const float* bias, bool accumulate,
                            Rows<To> out, std::int64_t columns, bool whole) {
  const std::int64_t r = blockIdx.x;
  for_fours(columns, [&](std::int64_t c, std::int64_t left) {
    Four four = sum_of_pieces<count>(pieces[r] + c, piece_stride, left, whole);
    if (bias) {
      const Four other = load_four(bias + c, left, whole);
      for (int i = 0; i < 4; ++i) four.v[i] += other.v[i];
    }
    if (accumulate) {
      const Four other = load_four(out[r] + c, left, whole);
      for (int i = 0; i < 4; ++i) four.v[i] += other.v[i];
    }
    store_four(out[r] + c, four, left, whole);
  });
}

__global__ void diagonal_rows(Rows<const float> products, std::int64_t columns, const std::int32_t* ids,
                              std::int64_t first_id, std::int64_t count, float* out, std::int64_t rows) {
  const std::int64_t r = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= rows) return;
  const std::int64_t id = ids[r] - first_id;
  out[r] = id >= 0 && id < count ? products[r][r % columns] : 0.0f;
}

}  // namespace thresher::device::cuda
