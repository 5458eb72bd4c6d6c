// Attention on tensor cores, f32 sums. A block has 64 queries of one or two heads that read one kv head; a warp has 16
// of them. Values arrive while scores are made, the next keys while values are added.
//
// bf16 in: bf16 weights. f32 in: every number, weights too, as the sum of two bf16, and of every product three parts,
// high high + high low + low high: within 2^-16 of the product, for a third of the speed.
#pragma once

#include "device/cuda/kernels/attend.cuh"

namespace thresher::device::cuda {

constexpr int mma_queries = 64;
constexpr int mma_warps = 4;  // for each head

// depth: the head size, rounded up to a multiple of 16. Shared memory: for each plane (one of bf16, or the high and the
// low ones of f32) lines of queries, keys and values.
template <int depth, class In>
struct AttendMma {
  static constexpr int planes = sizeof(In) == 4 ? 2 : 1;
  static constexpr int keys = (depth <= 128 ? 64 : 32) / planes;
  static constexpr int line = depth + 8;  // 16-byte pieces of 8 lines lie in different banks
  static constexpr std::size_t line_bytes = planes * line * sizeof(Bf16);
  static constexpr int most_heads = (2 * mma_queries + 2 * keys) * line_bytes <= least_shared_bytes ? 2 : 1;
  static constexpr int least_blocks = depth > 128 ? 1 : most_heads == 2 ? 2 : 3;  // of a multiprocessor's registers
  static_assert((mma_queries + 2 * keys) * line_bytes <= least_shared_bytes);

  __device__ static int plane(int heads) { return (heads * mma_queries + 2 * keys) * line; }
  static std::size_t bytes(int heads) { return static_cast<std::size_t>(heads * mma_queries + 2 * keys) * line_bytes; }
};

// Two numbers and what their bf16 leave of them.
struct SplitPair {
  std::uint32_t high, low;
};
__device__ inline SplitPair split(float a, float b) {
  const std::uint32_t high = bf16_pair(a, b);
  return {high, bf16_pair(a - first_of(high), b - second_of(high))};
}

// Copies `count` rows of a head into lines, zeros behind them and behind the head. bf16 arrives later: see copies_wait.
template <int depth, int rows>
__device__ inline void copy_lines(Rows<const Bf16> from, std::int64_t first, std::int64_t column, int count, int size,
                                  bool whole, Bf16* lines, int) {
  constexpr int pieces = depth / 8;
  for (int i = static_cast<int>(threadIdx.x); i < rows * pieces; i += static_cast<int>(blockDim.x)) {
    const int r = i / pieces, c = i % pieces * 8;
    Bf16* to = lines + r * (depth + 8) + c;
    const bool inside = r < count && c < size;
    const Bf16* source = from[inside ? first + r : first] + column + (inside ? c : 0);
    if (whole) {
      copy_async(to, source, inside ? 16 : 0);
    } else {
      for (int e = 0; e < 8; ++e) to[e] = inside && c + e < size ? source[e] : Bf16{0};
    }
  }
  copies_end();
}
template <int depth, int rows>
__device__ inline void copy_lines(Rows<const float> from, std::int64_t first, std::int64_t column, int count, int size,
                                  bool whole, Bf16* lines, int plane) {
  constexpr int fours = depth / 4, batch = 8;
  const int step = static_cast<int>(blockDim.x);
  for (int i = static_cast<int>(threadIdx.x); i < rows * fours; i += batch * step) {
    Four values[batch];
    load_fours<depth>(from, first, column, count, size, whole, i, values);
#pragma unroll
    for (int b = 0; b < batch; ++b) {
      const int at = i + b * step;
      if (at >= rows * fours) continue;
      const SplitPair one = split(values[b].v[0], values[b].v[1]), two = split(values[b].v[2], values[b].v[3]);
      Bf16* to = lines + at / fours * (depth + 8) + at % fours * 4;
      const uint2 highs{one.high, two.high}, lows{one.low, two.low};
      *reinterpret_cast<uint2*>(to) = highs;
      *reinterpret_cast<uint2*>(to + plane) = lows;
    }
  }
}

// sums += a b for two tiles of 8 columns, from all planes.
template <int planes>
__device__ inline void multiply(float (&first)[4], float (&second)[4], const std::uint32_t (&a)[planes][4],
                                const std::uint32_t (&b)[planes][4]) {
  if constexpr (planes == 2) {
    mma_bf16(first, a[1], b[0][0], b[0][1]);
    mma_bf16(second, a[1], b[0][2], b[0][3]);
    mma_bf16(first, a[0], b[1][0], b[1][1]);
    mma_bf16(second, a[0], b[1][2], b[1][3]);
  }
  mma_bf16(first, a[0], b[0][0], b[0][1]);
  mma_bf16(second, a[0], b[0][2], b[0][3]);
}

// Scores of the warp's 16 queries and keys [0, seen), in tiles of 8 keys.
template <int depth, class In, int keys>
__device__ inline void score_keys(const Bf16* q, const Bf16* k, int plane, int seen, float (&scores)[keys / 8][4]) {
  constexpr int line = AttendMma<depth, In>::line, planes = AttendMma<depth, In>::planes;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const Bf16* left = q + lane % 16 * line + lane / 16 * 8;
  const Bf16* right = k + (lane / 16 * 8 + lane % 8) * line + lane / 8 % 2 * 8;
#pragma unroll
  for (int tile = 0; tile < keys / 8; ++tile)
    for (float& score : scores[tile]) score = 0;
#pragma unroll
  for (int d = 0; d < depth; d += 16) {
    std::uint32_t a[planes][4];
    for (int p = 0; p < planes; ++p) load_matrices<false>(a[p], left + p * plane + d);
#pragma unroll
    for (int key = 0; key < keys; key += 16)
      if (key < seen) {
        std::uint32_t b[planes][4];
        for (int p = 0; p < planes; ++p) load_matrices<false>(b[p], right + p * plane + key * line + d);
        multiply<planes>(scores[key / 8], scores[key / 8 + 1], a, b);
      }
  }
}

template <int depth, class In, int keys>
__device__ inline void add_values(const float (&weights)[keys / 8][4], const Bf16* v, int plane, int seen,
                                  float (&out)[depth / 8][4]) {
  constexpr int line = AttendMma<depth, In>::line, planes = AttendMma<depth, In>::planes;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const Bf16* right = v + (lane / 8 % 2 * 8 + lane % 8) * line + lane / 16 * 8;
#pragma unroll
  for (int key = 0; key < keys; key += 16)
    if (key < seen) {
      std::uint32_t a[planes][4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float(&pair)[4] = weights[key / 8 + i / 2];
        const SplitPair parts = split(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
        a[0][i] = parts.high;
        if constexpr (planes == 2) a[1][i] = parts.low;
      }
#pragma unroll
      for (int d = 0; d < depth; d += 16) {
        std::uint32_t b[planes][4];
        for (int p = 0; p < planes; ++p) load_matrices<true>(b[p], right + p * plane + key * line + d);
        multiply<planes>(out[d / 8], out[d / 8 + 1], a, b);
      }
    }
}

// Of the four lanes that hold a row.
__device__ inline float highest_of_four(float value) {
  value = fmaxf(value, __shfl_xor_sync(all_lanes, value, 1));
  return fmaxf(value, __shfl_xor_sync(all_lanes, value, 2));
}
__device__ inline float sum_of_four(float value) {
  value += __shfl_xor_sync(all_lanes, value, 1);
  return value + __shfl_xor_sync(all_lanes, value, 2);
}

// The lane's two rows, 8 apart.
struct Softened {
  float reference[2];
  float total[2];  // of this lane's columns
};

// Scores of keys from `block` on become weights; `out` and totals are scaled to the new reference. `row` is the lane's
// first row. A factor above 0 leaves the greatest score the greatest.
template <int depth, int keys>
__device__ inline void soften(float (&scores)[keys / 8][4], int row, int block, int window, float factor,
                              Softened& state, float (&out)[depth / 8][4]) {
  const int column = block + static_cast<int>(threadIdx.x) % 4 * 2;
  const int first = row - static_cast<int>(threadIdx.x) % warp_lanes / 4;  // of the warp's 16
  if (block + keys > first + 1 || low_of(first + 15, window) > block) {
#pragma unroll
    for (int tile = 0; tile < keys / 8; ++tile)
      for (int e = 0; e < 4; ++e)
        if (!sees(row + e / 2 * 8, column + tile * 8 + e % 2, window)) scores[tile][e] = -__builtin_huge_valf();
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float highest = -__builtin_huge_valf();
#pragma unroll
    for (int tile = 0; tile < keys / 8; ++tile)
      highest = fmaxf(highest, fmaxf(scores[tile][2 * half], scores[tile][2 * half + 1]));
    highest = fmaxf(state.reference[half], highest_of_four(highest) * factor);
    const float kept = kept_by(state.reference[half], highest);
    const float shift = highest == -__builtin_huge_valf() ? 0.0f : highest;
    float sum = 0;
#pragma unroll
    for (int tile = 0; tile < keys / 8; ++tile)
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        scores[tile][e] = power_of_two(fmaf(scores[tile][e], factor, -shift));
        sum += scores[tile][e];
      }
    state.total[half] = fmaf(state.total[half], kept, sum);
    state.reference[half] = highest;
#pragma unroll
    for (int d = 0; d < depth / 8; ++d) {
      out[d][2 * half] *= kept;
      out[d][2 * half + 1] *= kept;
    }
  }
}

template <int depth, class In>
__global__ void __launch_bounds__(mma_warps* warp_lanes* AttendMma<depth, In>::most_heads,
                                  AttendMma<depth, In>::least_blocks) attend_mma(AttendView<In, Bf16> view) {
  using Shape = AttendMma<depth, In>;
  constexpr int keys = Shape::keys, line = Shape::line;
  const int heads = static_cast<int>(blockDim.x) / (mma_warps * warp_lanes), size = view.head_size;
  const int plane = Shape::plane(heads);
  auto* q = reinterpret_cast<Bf16*>(shared_memory());
  Bf16* k = q + heads * mma_queries * line;
  Bf16* v = k + keys * line;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes, warp = static_cast<int>(threadIdx.x) / warp_lanes;
  const int first_head = static_cast<int>(blockIdx.y) * heads, head = first_head + warp / mma_warps;
  // The longest tiles first.
  const auto [first, length, query] =
      tile_of<mma_queries>(view.starts, view.sequences, static_cast<int>(gridDim.x - 1 - blockIdx.x));
  if (query >= length) return;
  const int rows = length - query < mma_queries ? length - query : mma_queries, end = query + rows;
  const int warp_row = warp % mma_warps * 16, row = query + warp_row + lane / 4;
  const std::int64_t kv_column = std::int64_t{(first_head + view.skipped) / view.group} * size;
  const auto copy_keys = [&](Rows<const In> from, int block, Bf16* to) {
    const int count = length - block < keys ? length - block : keys;
    copy_lines<depth, keys>(from, first + block, kv_column, count, size, view.whole, to, plane);
  };
  for (int h = 0; h < heads; ++h)
    copy_lines<depth, mma_queries>(view.q, first + query, std::int64_t{first_head + h} * size, rows, size, view.whole,
                                   q + h * mma_queries * line, plane);
  int block = low_of(query, view.window) / keys * keys;
  copy_keys(view.k, block, k);

  float out[depth / 8][4] = {}, scores[keys / 8][4];
  Softened state{{-__builtin_huge_valf(), -__builtin_huge_valf()}, {0, 0}};
  for (; block < end; block += keys) {
    const int seen = query + warp_row + 16 - block;  // keys that the warp's last row sees, or more than there are
    if constexpr (Shape::planes == 1) copies_wait<0>();
    __syncthreads();
    copy_keys(view.v, block, v);
    score_keys<depth, In, keys>(q + (warp / mma_warps * mma_queries + warp_row) * line, k, plane, seen, scores);
    soften<depth, keys>(scores, row, block, view.window, view.factor, state, out);
    if constexpr (Shape::planes == 1) copies_wait<0>();
    __syncthreads();
    if (block + keys < end) copy_keys(view.k, block + keys, k);
    add_values<depth, In, keys>(scores, v, plane, seen, out);
  }

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float total = sum_of_four(state.total[half]);
    if (row + 8 * half >= end) continue;
    Bf16* to = view.out[first + row + 8 * half] + std::int64_t{head} * size;
#pragma unroll
    for (int d = 0; d < depth / 8; ++d)
      for (int e = 0; e < 2; ++e) {
        const int c = d * 8 + lane % 4 * 2 + e;
        if (c < size) write(to[c], out[d][2 * half + e] / total);
      }
  }
}

}  // namespace thresher::device::cuda
