// Which kernels this machine can run.
#pragma once

#include <string>

#include "device/cpu/kernels.h"

namespace thresher::device::cpu {

// The best instruction set that this processor has and that ONEDNN_MAX_CPU_ISA (AVX2, AVX512_CORE, ...), read by oneDNN
// too, does not forbid. Throws base::Error (unavailable) on a processor without AVX2 and FMA.
Isa best_isa();

const Kernels& kernels_for(Isa isa);

// What decides the bits of products by these kernels and oneDNN: "avx2", "avx512", "avx512_bf16", "avx512_bf16+amx".
std::string name_of(Isa isa);

// Whether oneDNN multiplies bf16 by the processor's matrix unit (AMX), several times as fast as by vectors.
bool has_matrix_unit();

}  // namespace thresher::device::cpu
