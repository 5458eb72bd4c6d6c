// One kernel source, two meanings: CUDA where nvcc compiles it, and threads of a block as fibers on the CPU where the
// tests do. Kernels use what is declared here and CUDA's own words threadIdx, blockIdx, __syncthreads, __syncwarp,
// __shfl_*_sync, __ballot_sync; shared memory by `shared_memory` alone. Only files in kernels/ include this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "device/cuda/kernels/kernels.h"
#include "thresher/base/check.h"

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace thresher::device::cuda {

// Throws base::Error (os) where CUDA does not take the launch. More than 48 KiB of shared memory has to be asked for.
template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, unsigned threads, std::size_t shared_bytes,
            Stream stream, Arguments... arguments) {
  cudaError_t error = cudaSuccess;
  if (shared_bytes > 48 * 1024)
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
  if (error == cudaSuccess) {
    kernel<<<grid, threads, shared_bytes, stream>>>(arguments...);
    error = cudaGetLastError();
  }
  if (error != cudaSuccess)
    base::fail(base::Exit::os, std::string("CUDA refuses the kernel ") + name + " (" + std::to_string(threads) +
                                   " threads, " + std::to_string(shared_bytes) +
                                   " bytes of shared memory a block): " + cudaGetErrorString(error));
}

// The block's shared memory, as many bytes as the launch said; not initialised.
__device__ inline unsigned char* shared_memory() {
  extern __shared__ __align__(128) unsigned char bytes[];
  return bytes;
}

// Two numbers as bf16, the first in the lower half.
__device__ inline std::uint32_t bf16_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}
__device__ inline std::uint16_t bf16_of(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

// 2^t within 2^-22; 0 below 2^-126.
__device__ inline float power_of_two(float t) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(t));
  return power;
}

// d += a b, bf16 in, f32 sums: a 16 x 16 by rows, b 16 x 8 by columns, fragments as the PTX ISA lays out m16n8k16.
__device__ inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 x 8 matrices of 16-bit numbers from shared memory: lanes 8 i .. 8 i + 7 name the rows (16 bytes each, aligned)
// of matrix i; lane l gets elements 2 (l % 4), 2 (l % 4) + 1 of row l / 4 of each, or of the transposed matrix.
template <bool transposed>
__device__ inline void load_matrices(std::uint32_t (&m)[4], const void* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                 : "r"(address)
                 : "memory");
  }
}

// Asynchronous copies of 16 aligned bytes to shared memory; with `bytes` below 16, zeros follow. A thread's copies
// until `copies_end` are a group; `copies_wait<n>` waits until all but the thread's last n groups have arrived. Other
// threads see them after a barrier.
__device__ inline void copy_async(void* shared, const void* global, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(shared))),
               "l"(global), "r"(bytes)
               : "memory");
}
__device__ inline void copies_end() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int groups>
__device__ inline void copies_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

}  // namespace thresher::device::cuda

#else
#include "device/emulation/cuda.h"
#endif
