#include <immintrin.h>

#include <cstdint>

#include "device/cpu/kernels.h"

namespace thresher::device::cpu {
namespace {

using Bf16 = std::uint16_t;
// Each builds on those before it.
// clang-format off
#include "device/cpu/simd_avx512.h"
#include "device/cpu/kernels/math.h"
#include "device/cpu/kernels/rows.h"
#include "device/cpu/kernels/product.h"
#include "device/cpu/kernels/piece.h"
#include "device/cpu/kernels/attend.h"
#include "device/cpu/kernels/score.h"
#include "device/cpu/kernels/burn.h"
// clang-format on

}  // namespace

const Kernels& kernels_avx512() {
  static const Kernels table{Isa::avx512, convert,        embed,           norm,  rope,          gate,         finish,
                             multiply,    piece<WordF32>, attend<WordF32>, score, burn<WordF32>, burn<WordF32>};
  return table;
}

}  // namespace thresher::device::cpu
