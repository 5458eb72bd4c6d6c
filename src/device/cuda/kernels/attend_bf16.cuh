// Attention on tensor cores: bf16 in, f32 scores and sums, bf16 weights. A block has 64 queries of one or two heads
// that read one kv head; a warp has 16 of them. Values arrive while scores are made, the next keys while values are
// added.
#pragma once

#include "device/cuda/kernels/attend.cuh"

namespace thresher::device::cuda {

constexpr int bf16_queries = 64;
constexpr int bf16_warps = 4;  // for each head

// depth: the head size, rounded up to a multiple of 16.
template <int depth>
struct AttendBf16 {
  static constexpr int keys = depth <= 128 ? 64 : 32;
  static constexpr int most_heads = depth <= 128 ? 2 : 1;
  static constexpr int line = depth + 8;  // 16-byte pieces of 8 lines lie in different banks
  static constexpr std::size_t bytes(int heads) {
    return 16 + static_cast<std::size_t>(heads * bf16_queries + 2 * keys) * line * sizeof(Bf16);
  }
};

// Starts to copy `count` rows of a head into lines, zeros behind them and behind the head.
template <int depth, int rows>
__device__ inline void copy_lines(Rows<const Bf16> from, std::int64_t first, std::int64_t column, int count, int size,
                                  bool whole, Bf16* lines) {
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
}

// Scores of the warp's 16 queries and keys [0, seen), in tiles of 8 keys.
template <int depth, int keys>
__device__ inline void score_keys(const Bf16* q, const Bf16* k, int seen, float (&scores)[keys / 8][4]) {
  constexpr int line = AttendBf16<depth>::line;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const Bf16* left = q + lane % 16 * line + lane / 16 * 8;
  const Bf16* right = k + (lane / 16 * 8 + lane % 8) * line + lane / 8 % 2 * 8;
#pragma unroll
  for (int tile = 0; tile < keys / 8; ++tile)
    for (float& score : scores[tile]) score = 0;
#pragma unroll
  for (int d = 0; d < depth; d += 16) {
    std::uint32_t a[4];
    load_matrices<false>(a, left + d);
#pragma unroll
    for (int key = 0; key < keys; key += 16)
      if (key < seen) {
        std::uint32_t b[4];
        load_matrices<false>(b, right + key * line + d);
        mma_bf16(scores[key / 8], a, b[0], b[1]);
        mma_bf16(scores[key / 8 + 1], a, b[2], b[3]);
      }
  }
}

template <int depth, int keys>
__device__ inline void add_values(const float (&weights)[keys / 8][4], const Bf16* v, int seen,
                                  float (&out)[depth / 8][4]) {
  constexpr int line = AttendBf16<depth>::line;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const Bf16* right = v + (lane / 8 % 2 * 8 + lane % 8) * line + lane / 16 * 8;
#pragma unroll
  for (int key = 0; key < keys; key += 16)
    if (key < seen) {
      const float(&low)[4] = weights[key / 8], (&high)[4] = weights[key / 8 + 1];
      const std::uint32_t a[4] = {bf16_pair(low[0], low[1]), bf16_pair(low[2], low[3]), bf16_pair(high[0], high[1]),
                                  bf16_pair(high[2], high[3])};
#pragma unroll
      for (int d = 0; d < depth; d += 16) {
        std::uint32_t b[4];
        load_matrices<true>(b, right + key * line + d);
        mma_bf16(out[d / 8], a, b[0], b[1]);
        mma_bf16(out[d / 8 + 1], a, b[2], b[3]);
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
        scores[tile][e] = exp2f(fmaf(scores[tile][e], factor, -shift));
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

template <int depth>
__global__ void __launch_bounds__(bf16_warps* warp_lanes* AttendBf16<depth>::most_heads)
    attend_bf16(AttendView<Bf16, Bf16> view) {
  using Shape = AttendBf16<depth>;
  constexpr int keys = Shape::keys, line = Shape::line;
  const int heads = static_cast<int>(blockDim.x) / (bf16_warps * warp_lanes), size = view.head_size;
  auto* room = reinterpret_cast<int*>(shared_memory());
  auto* q = reinterpret_cast<Bf16*>(shared_memory() + 16);
  Bf16* k = q + heads * bf16_queries * line;
  Bf16* v = k + keys * line;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes, warp = static_cast<int>(threadIdx.x) / warp_lanes;
  const int first_head = static_cast<int>(blockIdx.y) * heads, head = first_head + warp / bf16_warps;
  // The longest tiles first.
  const auto [first, length, query] =
      tile_of<bf16_queries>(view.starts, view.sequences, static_cast<int>(gridDim.x - 1 - blockIdx.x), room);
  if (query >= length) return;
  const int rows = length - query < bf16_queries ? length - query : bf16_queries, end = query + rows;
  const int warp_row = warp % bf16_warps * 16, row = query + warp_row + lane / 4;
  const std::int64_t kv_column = std::int64_t{(first_head + view.skipped) / view.group} * size;
  const auto copy_keys = [&](Rows<const Bf16> from, int block, Bf16* to) {
    const int count = length - block < keys ? length - block : keys;
    copy_lines<depth, keys>(from, first + block, kv_column, count, size, view.whole, to);
    copies_end();
  };
  for (int h = 0; h < heads; ++h)
    copy_lines<depth, bf16_queries>(view.q, first + query, std::int64_t{first_head + h} * size, rows, size, view.whole,
                                    q + h * bf16_queries * line);
  int block = low_of(query, view.window) / keys * keys;
  copy_keys(view.k, block, k);

  float out[depth / 8][4] = {}, scores[keys / 8][4];
  Softened state{{-__builtin_huge_valf(), -__builtin_huge_valf()}, {0, 0}};
  for (; block < end; block += keys) {
    const int seen = query + warp_row + 16 - block;  // keys that the warp's last row sees, or more than there are
    copies_wait<0>();
    __syncthreads();
    copy_keys(view.v, block, v);
    score_keys<depth, keys>(q + (warp / bf16_warps * bf16_queries + warp_row) * line, k, seen, scores);
    soften<depth, keys>(scores, row, block, view.window, view.factor, state, out);
    copies_wait<0>();
    __syncthreads();
    if (block + keys < end) copy_keys(view.k, block + keys, k);
    add_values<depth, keys>(scores, v, seen, out);
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
