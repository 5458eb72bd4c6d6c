// Logits to the parts of a softmax, ranks and best ids.
#pragma once

#include "device/cuda/kernels/common.cuh"

namespace thresher::device::cuda {

constexpr int tile_columns = static_cast<int>(vocabulary_tile);
constexpr int lane_fours = tile_columns / 4 / warp_lanes;
constexpr int most_segments = static_cast<int>(vocabulary_segments);

struct ChunkView {
  Rows<const float> logits;
  std::int64_t rows, columns;
  std::int64_t first_tile, first_id;
  const std::int32_t* targets;
  const float* target_logits;  // or nullptr
};

__device__ inline float minus_infinity() {
  return -__builtin_huge_valf();
}

// A warp has one row of one tile in its registers: lane l holds columns 4 l + 128 i + j.
template <bool weighted>
__global__ void score_tile_rows(ChunkView chunk, TilePart* parts, float* found) {
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const std::int64_t r = std::int64_t{blockIdx.x} * (blockDim.x / warp_lanes) + threadIdx.x / warp_lanes;
  if (r >= chunk.rows) return;
  const std::int64_t tile = blockIdx.y, start = tile * tile_columns, rest = chunk.columns - start;
  const int columns = rest < tile_columns ? static_cast<int>(rest) : tile_columns;
  Four x[lane_fours];
  float highest = minus_infinity();
#pragma unroll
  for (int i = 0; i < lane_fours; ++i) {
    const int c = (i * warp_lanes + lane) * 4;
    x[i] = load_four(chunk.logits[r] + start + c, columns - c, true);
    for (int j = 0; j < 4; ++j) {
      if (c + j >= columns) x[i].v[j] = minus_infinity();
      highest = fmaxf(highest, x[i].v[j]);
    }
  }
  highest = warp_highest(highest);
  const float reference = highest == minus_infinity() ? 0.0f : highest * log2_e;

  // The target's column, -1 before the tile, tile_columns behind it.
  const std::int64_t column = chunk.targets[r] - (chunk.first_id + (chunk.first_tile + tile) * tile_columns);
  const int target = column < 0 ? -1 : column > tile_columns ? tile_columns : static_cast<int>(column);
  const float limit = chunk.target_logits ? chunk.target_logits[r] : 0.0f;
  float sum = 0, times = 0;
  int above = 0;
#pragma unroll
  for (int i = 0; i < lane_fours; ++i)
    for (int j = 0; j < 4; ++j) {
      const float value = x[i].v[j];
      const int c = (i * warp_lanes + lane) * 4 + j;
      float t = fmaf(value, log2_e, -reference);
      if (weighted) t = t < -200.0f ? -200.0f : t;  // for 0 * -inf
      const float power = power_of_two(t);
      sum += power;
      if (weighted) times = fmaf(power, t, times);
      above += c < columns && (value > limit || (value == limit && c < target)) ? 1 : 0;
      if (c == target && c < columns) found[r] = value;
    }
  sum = warp_sum(sum);
  if (weighted) times = warp_sum(times);
  above = warp_sum(above);
  if (lane == 0)
    parts[(chunk.first_tile + tile) * chunk.rows + r] = {highest == minus_infinity() ? highest : reference, sum, times,
                                                         chunk.target_logits ? above : 0};
}

// A sorted list in shared memory, kept by one warp: by falling logit, ties by rising id.
struct BestList {
  std::int32_t* ids;
  float* logits;
  int top;
  int count;

  // Whether a logit with an id above all those seen belongs into the list.
  __device__ bool takes(float logit) const { return count < top ? logit == logit : logit > logits[top - 1]; }

  // All lanes call this with the same logit and id. Entries behind the new one move in runs of 32 from the end.
  __device__ void take(float logit, std::int32_t id) {
    const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
    int before = 0;
    for (int i = lane; i < count; i += warp_lanes) before += logits[i] >= logit ? 1 : 0;
    const int place = warp_sum(before);
    if (count < top) ++count;
    for (int end = count - 1; end > place; end -= warp_lanes) {
      const int to = end - lane;
      const bool moves = to > place;
      const float moved = moves ? logits[to - 1] : 0.0f;
      const std::int32_t moved_id = moves ? ids[to - 1] : 0;
      __syncwarp();
      if (moves) {
        logits[to] = moved;
        ids[to] = moved_id;
      }
    }
    if (lane == 0) {
      logits[place] = logit;
      ids[place] = id;
    }
    __syncwarp();
  }
};

// A warp a row: columns in rising order, 32 at a time.
__global__ void score_best_rows(ChunkView chunk, const TilePart* parts, Rows<std::int32_t> top_id,
                                Rows<float> top_logit, int top) {
  const int warp = static_cast<int>(threadIdx.x) / warp_lanes, lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const std::int64_t r = std::int64_t{blockIdx.x} * (blockDim.x / warp_lanes) + warp;
  if (r >= chunk.rows) return;
  auto* ids = reinterpret_cast<std::int32_t*>(shared_memory()) + std::int64_t{warp} * 2 * top;
  BestList best{ids, reinterpret_cast<float*>(ids + top), top, 0};
  if (chunk.first_tile > 0) {
    int filled = 0;
    for (int i = lane; i < top; i += warp_lanes) {
      best.ids[i] = top_id[r][i];
      best.logits[i] = top_logit[r][i];
      filled += best.ids[i] >= 0 ? 1 : 0;
    }
    best.count = warp_sum(filled);
    __syncwarp();
  }
  const std::int64_t tiles = (chunk.columns + tile_columns - 1) / tile_columns;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const float reference = parts[(chunk.first_tile + tile) * chunk.rows + r].reference;
    if (best.count == top && reference < best.logits[top - 1] * log2_e) continue;
    const std::int64_t end = chunk.columns < (tile + 1) * tile_columns ? chunk.columns : (tile + 1) * tile_columns;
    for (std::int64_t c = tile * tile_columns; c < end; c += warp_lanes) {
      const bool inside = c + lane < end;
      const float logit = inside ? chunk.logits[r][c + lane] : 0.0f;
      unsigned candidates = __ballot_sync(all_lanes, inside && best.takes(logit));
      for (; candidates != 0; candidates &= candidates - 1) {
        const int from = __ffs(candidates) - 1;
        const float candidate = __shfl_sync(all_lanes, logit, from);
        if (best.takes(candidate))
          best.take(candidate, static_cast<std::int32_t>(chunk.first_id + chunk.first_tile * tile_columns + c + from));
      }
    }
  }
  for (int i = lane; i < top; i += warp_lanes) {
    top_id[r][i] = i < best.count ? best.ids[i] : -1;
    top_logit[r][i] = i < best.count ? best.logits[i] : minus_infinity();
  }
}

struct MergeView {
  const TilePart* parts;
  std::int64_t rows;
  std::int64_t tile_cuts[most_segments + 1];
  int segments;
  Rows<float> reference, sum, weighted;  // weighted.data may be null
  std::int32_t* above;                   // or nullptr
};

// A thread a row. Tiles in rising order, in f64, in powers of two relative to the greatest logit of the segment.
__global__ void merge_rows(MergeView merge) {
  const std::int64_t r = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= merge.rows) return;
  int above = 0;
  for (int s = 0; s < merge.segments; ++s) {
    const double nothing = static_cast<double>(minus_infinity());
    double highest = nothing, sum = 0, weighted = 0;
    for (std::int64_t tile = merge.tile_cuts[s]; tile < merge.tile_cuts[s + 1]; ++tile)
      highest = fmax(highest, static_cast<double>(merge.parts[tile * merge.rows + r].reference));
    for (std::int64_t tile = merge.tile_cuts[s]; tile < merge.tile_cuts[s + 1]; ++tile) {
      const TilePart part = merge.parts[tile * merge.rows + r];
      above += part.above;
      if (part.reference == minus_infinity() && part.sum == 0) continue;
      const double shift = static_cast<double>(part.reference) - highest, factor = exp2(shift);
      sum += part.sum * factor;
      weighted += factor * (part.weighted + part.sum * shift);
    }
    merge.reference[s][r] = static_cast<float>(highest);
    merge.sum[s][r] = static_cast<float>(sum);
    if (merge.weighted.data) merge.weighted[s][r] = static_cast<float>(weighted);
  }
  if (merge.above) merge.above[r] = above;
}

}  // namespace thresher::device::cuda
