// Attention in f32 multiply-adds, f32 out. A block has `queries` rows of one head; 16 x 16 threads, of which (y, x) has
// rows rows_here * y + i, keys x + 16 j and outputs x + 16 d.
#pragma once

#include "device/cuda/kernels/attend.cuh"

namespace thresher::device::cuda {

constexpr int side = 16;

// depth: the head size, rounded up.
template <int depth, int queries, int keys>
struct AttendF32 {
  static constexpr int rows_here = queries / side, keys_here = keys / side, outputs_here = depth / side;
  static constexpr int line = depth + 4;  // rows 4 banks apart
  static constexpr int weights_line = keys + 4;
  static constexpr std::size_t bytes = (queries * line + keys * line + queries * weights_line) * sizeof(float);
  static_assert(bytes <= least_shared_bytes);
};

// `count` rows of a head into lines, zeros behind them and behind the head.
template <int depth, int rows>
__device__ inline void load_lines(Rows<const float> from, std::int64_t first, std::int64_t column, int count, int size,
                                  bool whole, float* lines) {
  constexpr int fours = depth / 4, batch = 4;
  for (int i = static_cast<int>(threadIdx.x); i < rows * fours; i += batch * side * side) {
    Four values[batch];
    load_fours<depth>(from, first, column, count, size, whole, i, values);
#pragma unroll
    for (int b = 0; b < batch; ++b) {
      const int at = i + b * side * side;
      if (at < rows * fours) store_four(lines + at / fours * (depth + 4) + at % fours * 4, values[b], 4, true);
    }
  }
}

__device__ inline float highest_of_side(float value) {
  for (int bits = side / 2; bits > 0; bits /= 2) value = fmaxf(value, __shfl_xor_sync(all_lanes, value, bits));
  return value;
}
__device__ inline float sum_of_side(float value) {
  for (int bits = side / 2; bits > 0; bits /= 2) value += __shfl_xor_sync(all_lanes, value, bits);
  return value;
}

template <int depth, int queries, int keys>
__global__ void __launch_bounds__(side* side) attend_f32(AttendView<float, float> view) {
  using Shape = AttendF32<depth, queries, keys>;
  constexpr int line = Shape::line, rows_here = Shape::rows_here, keys_here = Shape::keys_here;
  float* q = reinterpret_cast<float*>(shared_memory());
  float* kv = q + queries * line;
  float* weights = kv + keys * line;
  const int x = static_cast<int>(threadIdx.x) % side, y = static_cast<int>(threadIdx.x) / side;
  const int head = static_cast<int>(blockIdx.y), size = view.head_size;
  // The longest tiles first.
  const auto [first, length, query] =
      tile_of<queries>(view.starts, view.sequences, static_cast<int>(gridDim.x - 1 - blockIdx.x));
  if (query >= length) return;
  const int rows = length - query < queries ? length - query : queries;
  const std::int64_t kv_column = std::int64_t{(head + view.skipped) / view.group} * size;
  load_lines<depth, queries>(view.q, first + query, std::int64_t{head} * size, rows, size, view.whole, q);

  float out[rows_here][Shape::outputs_here] = {}, reference[rows_here], total[rows_here];
  for (int i = 0; i < rows_here; ++i) {
    reference[i] = -__builtin_huge_valf();
    total[i] = 0;
  }
  for (int block = low_of(query, view.window) / keys * keys; block < query + rows; block += keys) {
    const int count = length - block < keys ? length - block : keys;
    __syncthreads();
    load_lines<depth, keys>(view.k, first + block, kv_column, count, size, view.whole, kv);
    __syncthreads();
    float scores[rows_here][keys_here] = {};
    for (int d = 0; d < size; d += 4) {
      Four left[rows_here], right[keys_here];
      for (int i = 0; i < rows_here; ++i) left[i] = load_four(q + (y * rows_here + i) * line + d, 4, true);
      for (int j = 0; j < keys_here; ++j) right[j] = load_four(kv + (x + side * j) * line + d, 4, true);
      for (int e = 0; e < 4; ++e)
        for (int i = 0; i < rows_here; ++i)
          for (int j = 0; j < keys_here; ++j) scores[i][j] = fmaf(left[i].v[e], right[j].v[e], scores[i][j]);
    }
    for (int i = 0; i < rows_here; ++i) {
      const int row = query + y * rows_here + i;
      float highest = reference[i], sum = 0;
      for (int j = 0; j < keys_here; ++j) {
        scores[i][j] =
            sees(row, block + x + side * j, view.window) ? scores[i][j] * view.factor : -__builtin_huge_valf();
        highest = fmaxf(highest, scores[i][j]);
      }
      highest = highest_of_side(highest);
      const float kept = kept_by(reference[i], highest);
      const float shift = highest == -__builtin_huge_valf() ? 0.0f : highest;
      for (int j = 0; j < keys_here; ++j) {
        const float weight = power_of_two(scores[i][j] - shift);
        weights[(y * rows_here + i) * Shape::weights_line + x + side * j] = weight;
        sum += weight;
      }
      total[i] = fmaf(total[i], kept, sum_of_side(sum));
      reference[i] = highest;
      for (float& value : out[i]) value *= kept;
    }
    __syncthreads();
    load_lines<depth, keys>(view.v, first + block, kv_column, count, size, view.whole, kv);
    __syncthreads();
    for (int k = 0; k < keys; k += 4) {
      Four left[rows_here];
      for (int i = 0; i < rows_here; ++i)
        left[i] = load_four(weights + (y * rows_here + i) * Shape::weights_line + k, 4, true);
      for (int e = 0; e < 4; ++e)
        for (int d = 0; d < Shape::outputs_here; ++d) {
          const float value = kv[(k + e) * line + x + side * d];
          for (int i = 0; i < rows_here; ++i) out[i][d] = fmaf(left[i].v[e], value, out[i][d]);
        }
    }
  }
  for (int i = 0; i < rows_here; ++i) {
    const int row = y * rows_here + i;
    if (row >= rows) continue;
    float* to = view.out[first + query + row] + std::int64_t{head} * size;
    for (int d = 0; d < Shape::outputs_here; ++d)
      if (x + side * d < size) to[x + side * d] = out[i][d] / total[i];
  }
}

}  // namespace thresher::device::cuda
