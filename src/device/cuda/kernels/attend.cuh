// What the attention kernels share: their arguments, and where a block works.
//
// Query tiles and key blocks are counted from the sequence's start and masked weights are exact zeros, so a row's bits
// depend on its sequence up to its own tile's end and on nothing else. (Online softmax: Milakov and Gimelshein 2018,
// arXiv 1805.02867; blocks: Dao et al. 2022, arXiv 2205.14135.)
#pragma once

#include "device/cuda/kernels/common.cuh"

namespace thresher::device::cuda {

// What a block may have on the GPU that has least of it, of sm_80 and up: sm_86, sm_89 and sm_120.
constexpr std::size_t least_shared_bytes = 99 * 1024;

template <class In, class Out>
struct AttendView {
  Rows<const In> q, k, v;
  Rows<Out> out;
  const std::int32_t* starts;
  int sequences;
  int head_size;
  int group, skipped;
  int window;    // 0 = none
  float factor;  // of q.k, for powers of two
  bool whole;    // q, k and v can be read 16 bytes at a time
};

// A tile of a sequence's queries.
struct QueryTile {
  std::int64_t first;  // the sequence's first row
  int length;          // of the sequence
  int query;           // the tile's first query, from the sequence's start; may be past its end
};

// Sequence i has the slots from starts[i] / tile + i on: enough for its tiles, without counting those of the others.
inline unsigned slots_for(std::int64_t rows, std::int64_t sequences, std::int64_t tile) {
  return static_cast<unsigned>(rows / tile + sequences);
}

// The tile of a slot: of the last sequence whose slots do not start behind it. By all lanes of each warp.
template <int tile>
__device__ inline QueryTile tile_of(const std::int32_t* starts, int sequences, int slot) {
  int found = -1;
  for (int first = 0; first < sequences; first += warp_lanes) {
    const int i = first + static_cast<int>(threadIdx.x) % warp_lanes;
    const unsigned lanes = __ballot_sync(all_lanes, i < sequences && starts[i] / tile + i <= slot);
    found += __popc(lanes);
    if (lanes != all_lanes) break;
  }
  return {starts[found], starts[found + 1] - starts[found], (slot - starts[found] / tile - found) * tile};
}

// Of `count` rows of a head, in fours of numbers: those from number i on, blockDim.x apart, all on their way before the
// first is used. Zeros behind the rows and behind the head.
template <int depth, int batch>
__device__ inline void load_fours(Rows<const float> from, std::int64_t first, std::int64_t column, int count, int size,
                                  bool whole, int i, Four (&values)[batch]) {
  constexpr int fours = depth / 4;
  const int step = static_cast<int>(blockDim.x);
  if (whole) {
#pragma unroll
    for (int b = 0; b < batch; ++b) {
      const int r = (i + b * step) / fours, c = (i + b * step) % fours * 4;
      float4 x{0, 0, 0, 0};
      if (r < count && c < size) x = *reinterpret_cast<const float4*>(from[first + r] + column + c);
      values[b] = {{x.x, x.y, x.z, x.w}};
    }
  } else {
    for (int b = 0; b < batch; ++b) {
      const int r = (i + b * step) / fours, c = (i + b * step) % fours * 4;
      values[b] = r < count && c < size ? load_four(from[first + r] + column + c, size - c, false) : Four{};
    }
  }
}

// The first key that a query sees.
__device__ inline int low_of(int query, int window) {
  return window > 0 && query >= window ? query - window + 1 : 0;
}

__device__ inline bool sees(int query, int key, int window) {
  return key <= query && key >= low_of(query, window);
}

// What a row's earlier sums have to be multiplied by when its reference rises; 0 before the first key.
__device__ inline float kept_by(float reference, float higher) {
  return reference == higher ? 1.0f : power_of_two(reference - higher);
}

}  // namespace thresher::device::cuda
