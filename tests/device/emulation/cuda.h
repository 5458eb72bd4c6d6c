// What device/cuda/cu.h promises to kernels, by the emulation. Included by that file alone.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>

#include "device/emulation/block.h"
#include "thresher/base/half.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::thresher::device::emulation::thread_index())
#define blockIdx (::thresher::device::emulation::block_index())
#define blockDim (::thresher::device::emulation::block_extent())
#define gridDim (::thresher::device::emulation::grid_extent())

namespace thresher::device::cuda {

struct dim3 {
  dim3(unsigned x_given, unsigned y_given = 1, unsigned z_given = 1) : x(x_given), y(y_given), z(z_given) {}
  unsigned x, y, z;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  std::uint32_t x, y;
};

inline void __syncthreads(const std::source_location& where = std::source_location::current()) {
  emulation::block_barrier(where);
}
inline void __syncwarp(unsigned mask = ~0u, const std::source_location& where = std::source_location::current()) {
  emulation::warp_barrier(mask, where);
}

template <class T>
T given_by(const unsigned char* slots, unsigned lane) {
  T value;
  std::memcpy(&value, slots + emulation::slot_bytes * lane, sizeof(T));
  return value;
}

template <class T>
T __shfl_sync(unsigned mask, T value, int from) {
  return given_by<T>(emulation::exchange(mask, &value, sizeof(T), "__shfl_sync"), static_cast<unsigned>(from) % 32);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return given_by<T>(emulation::exchange(mask, &value, sizeof(T), "__shfl_xor_sync"),
                     (emulation::lane() ^ static_cast<unsigned>(bits)) % 32);
}
inline unsigned __ballot_sync(unsigned mask, int is) {
  const unsigned char* slots = emulation::exchange(mask, &is, sizeof is, "__ballot_sync");
  unsigned bits = 0;
  for (unsigned i = 0; i < 32; ++i)
    if ((mask >> i & 1) && given_by<int>(slots, i) != 0) bits |= 1u << i;
  return bits;
}
inline int __popc(unsigned bits) {
  return std::popcount(bits);
}
inline int __ffs(unsigned bits) {
  return bits == 0 ? 0 : std::countr_zero(bits) + 1;
}

template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, unsigned threads, std::size_t shared_bytes,
            Stream stream, Arguments... arguments) {
  const auto work = [=] {
    emulation::run({name, {grid.x, grid.y, grid.z}, threads, shared_bytes}, [&] { kernel(arguments...); });
  };
  if (stream && emulation::streams()) return emulation::streams()(stream, work);
  work();
}

inline unsigned char* shared_memory() {
  return emulation::shared_memory();
}

inline std::uint16_t bf16_of(float value) {
  return base::to_bf16(value);
}
inline std::uint32_t bf16_pair(float low, float high) {
  return bf16_of(low) | std::uint32_t{bf16_of(high)} << 16;
}

inline float power_of_two(float t) {
  return std::exp2(t);
}

// Element i of a register that holds two bf16.
inline float half_of(std::uint32_t pair, unsigned i) {
  return std::bit_cast<float>(i == 0 ? pair << 16 : pair & 0xffff0000u);
}

inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  struct Given {
    std::uint32_t a[4], b[2];
  };
  const Given mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
  const unsigned char* slots = emulation::exchange(~0u, &mine, sizeof mine, "mma.sync");
  const unsigned row = emulation::lane() / 4, column = emulation::lane() % 4 * 2;
  float left[2][16], right[2][16];
  for (unsigned pair = 0; pair < 4; ++pair) {
    const auto of_row = given_by<Given>(slots, row * 4 + pair);
    for (unsigned i = 0; i < 8; ++i)
      left[i % 2][i / 4 * 8 + pair * 2 + i / 2 % 2] = half_of(of_row.a[i / 4 * 2 + i % 2], i / 2 % 2);
    for (unsigned c = 0; c < 2; ++c) {
      const auto of_column = given_by<Given>(slots, (column + c) * 4 + pair);
      for (unsigned i = 0; i < 4; ++i) right[c][i / 2 * 8 + pair * 2 + i % 2] = half_of(of_column.b[i / 2], i % 2);
    }
  }
  for (unsigned i = 0; i < 4; ++i) {
    float sum = 0;
    for (unsigned k = 0; k < 16; ++k) sum += left[i / 2][k] * right[i % 2][k];
    d[i] += sum;
  }
}

template <bool transposed>
void load_matrices(std::uint32_t (&m)[4], const void* row) {
  const auto address = reinterpret_cast<std::uintptr_t>(row);
  if (address % 16 != 0) throw std::logic_error("ldmatrix: a row that is not 16-byte aligned");
  const unsigned char* slots = emulation::exchange(~0u, &address, sizeof address, "ldmatrix");
  const unsigned first = emulation::lane() / 4, second = emulation::lane() % 4 * 2;
  for (unsigned i = 0; i < 4; ++i) {
    const auto element = [&](unsigned r, unsigned c) {
      return std::uint32_t{reinterpret_cast<const std::uint16_t*>(given_by<std::uintptr_t>(slots, i * 8 + r))[c]};
    };
    m[i] = transposed ? element(second, first) | element(second + 1, first) << 16
                      : element(first, second) | element(first, second + 1) << 16;
  }
  // Rows are read by other lanes' fibers before they go on to overwrite them, as the instruction does.
  emulation::exchange(~0u, &address, sizeof address, "the end of ldmatrix");
}

inline void copy_async(void* shared, const void* global, int bytes) {
  if (reinterpret_cast<std::uintptr_t>(shared) % 16 != 0 ||
      (bytes > 0 && reinterpret_cast<std::uintptr_t>(global) % 16 != 0))
    throw std::logic_error("cp.async: not 16-byte aligned");
  emulation::copy_async(shared, global, static_cast<std::size_t>(bytes), static_cast<std::size_t>(16 - bytes));
}
inline void copies_end() {
  emulation::copies_end();
}
template <int groups>
void copies_wait(const std::source_location& where = std::source_location::current()) {
  emulation::copies_wait(groups, where);
}

}  // namespace thresher::device::cuda
