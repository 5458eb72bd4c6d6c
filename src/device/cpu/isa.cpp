#include "device/cpu/isa.h"

#include <cpuid.h>

#include <dnnl.hpp>

#include "thresher/base/check.h"

namespace thresher::device::cpu {
namespace {

// CPUID leaf 1, ECX bit 29; not every compiler's __builtin_cpu_supports knows it.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 29 & 1) != 0;
}

// What this machine has and ONEDNN_MAX_CPU_ISA allows.
bool allowed(dnnl::cpu_isa isa) {
  const auto all = static_cast<unsigned>(dnnl::get_effective_cpu_isa()), wanted = static_cast<unsigned>(isa);
  return (all & wanted) == wanted;
}

}  // namespace

std::string name_of(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return has_matrix_unit() ? "avx512_bf16+amx" : "avx512_bf16";
  }
  return "?";
}

Isa best_isa() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c())
    base::fail(
        base::Exit::unavailable,
        "the CPU device needs a processor with AVX2, FMA and F16C; this one lacks them (Intel since Haswell, 2013; "
        "AMD since Excavator, 2015)");
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!wide || !allowed(dnnl::cpu_isa::avx512_core)) return Isa::avx2;
  if (!allowed(dnnl::cpu_isa::avx512_core_bf16)) return Isa::avx512;
  return Isa::avx512_bf16;
}

bool has_matrix_unit() {
  return allowed(dnnl::cpu_isa::avx512_core_amx);
}

const Kernels& kernels_for(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return kernels_avx2();
    case Isa::avx512:
      return allowed(dnnl::cpu_isa::avx512_core_vnni) ? kernels_avx512_vnni() : kernels_avx512();
    case Isa::avx512_bf16:
      return kernels_avx512_bf16();
  }
  base::fail(base::Exit::internal, "unknown instruction set");
}

}  // namespace thresher::device::cpu
