// What the kernels share: numbers in memory, four at a time, and sums over lanes.
#pragma once

#include "device/cuda/cu.h"

namespace thresher::device::cuda {

constexpr unsigned all_lanes = 0xffffffffu;
constexpr int warp_lanes = 32;

struct Bf16 {
  std::uint16_t bits;
};

__device__ inline float float_of(std::uint32_t bits) {
  float number;
  memcpy(&number, &bits, sizeof number);
  return number;
}
// The numbers of a bf16_pair.
__device__ inline float first_of(std::uint32_t pair) {
  return float_of(pair << 16);
}
__device__ inline float second_of(std::uint32_t pair) {
  return float_of(pair & 0xffff0000u);
}

__device__ inline float read(float value) {
  return value;
}
__device__ inline float read(Bf16 value) {
  return first_of(value.bits);
}
__device__ inline void write(float& place, float value) {
  place = value;
}
__device__ inline void write(Bf16& place, float value) {
  place.bits = bf16_of(value);
}

// Rows of a view as a kernel's argument.
template <class T>
struct Rows {
  T* data;
  std::int64_t stride;

  __device__ T* operator[](std::int64_t r) const { return data + r * stride; }
};

template <class T>
Rows<T> rows_of(const Tensor& view) {
  return {view.as<T>(), view.stride};
}

// Whether every row of the view starts where four numbers can be read or written at once.
inline bool in_fours(const Tensor& view) {
  const auto bytes = static_cast<std::uintptr_t>(4 * tensor::size_of(view.dtype));
  return reinterpret_cast<std::uintptr_t>(view.data) % bytes == 0 && view.stride % 4 == 0;
}

struct Four {
  float v[4];
};

// Numbers [0, count) of four from `p` on, zeros for the rest; `whole`: the address allows one access.
__device__ inline Four load_four(const float* p, std::int64_t count, bool whole) {
  if (whole && count >= 4) {
    const float4 x = *reinterpret_cast<const float4*>(p);
    return {{x.x, x.y, x.z, x.w}};
  }
  Four four{};
  for (int i = 0; i < 4; ++i)
    if (i < count) four.v[i] = p[i];
  return four;
}
__device__ inline Four load_four(const Bf16* p, std::int64_t count, bool whole) {
  if (whole && count >= 4) {
    const uint2 x = *reinterpret_cast<const uint2*>(p);
    return {{first_of(x.x), second_of(x.x), first_of(x.y), second_of(x.y)}};
  }
  Four four{};
  for (int i = 0; i < 4; ++i)
    if (i < count) four.v[i] = read(p[i]);
  return four;
}
__device__ inline void store_four(float* p, const Four& four, std::int64_t count, bool whole) {
  if (whole && count >= 4) {
    *reinterpret_cast<float4*>(p) = {four.v[0], four.v[1], four.v[2], four.v[3]};
    return;
  }
  for (int i = 0; i < 4; ++i)
    if (i < count) p[i] = four.v[i];
}
__device__ inline void store_four(Bf16* p, const Four& four, std::int64_t count, bool whole) {
  if (whole && count >= 4) {
    *reinterpret_cast<uint2*>(p) = {bf16_pair(four.v[0], four.v[1]), bf16_pair(four.v[2], four.v[3])};
    return;
  }
  for (int i = 0; i < 4; ++i)
    if (i < count) write(p[i], four.v[i]);
}

// Of all lanes, by a butterfly: every lane gets the same bits.
__device__ inline float warp_sum(float value) {
  for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(all_lanes, value, bits);
  return value;
}
__device__ inline int warp_sum(int value) {
  for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(all_lanes, value, bits);
  return value;
}
__device__ inline float warp_highest(float value) {
  for (int bits = 16; bits > 0; bits /= 2) value = fmaxf(value, __shfl_xor_sync(all_lanes, value, bits));
  return value;
}

// Calls body with null pointers of the views' element types.
template <class Body>
void for_types(const Tensor& from, const Tensor& to, Body body) {
  const bool narrow_from = from.dtype == DType::bf16, narrow_to = to.dtype == DType::bf16;
  const auto second = [&]<class From>(From* f) {
    if (narrow_to) {
      body(f, static_cast<Bf16*>(nullptr));
    } else {
      body(f, static_cast<float*>(nullptr));
    }
  };
  if (narrow_from) {
    second(static_cast<Bf16*>(nullptr));
  } else {
    second(static_cast<float*>(nullptr));
  }
}

// Threads for `count` parallel parts of a row: whole warps, `most` at most. Depends on the row's length alone.
inline unsigned threads_for(std::int64_t count, unsigned most) {
  const std::int64_t warps = (count + warp_lanes - 1) / warp_lanes;
  return warps * warp_lanes < static_cast<std::int64_t>(most) ? static_cast<unsigned>(warps * warp_lanes) : most;
}

inline unsigned blocks_for(std::int64_t work, std::int64_t per_block) {
  return static_cast<unsigned>((work + per_block - 1) / per_block);
}

}  // namespace thresher::device::cuda
