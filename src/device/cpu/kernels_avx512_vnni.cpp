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
#include "device/cpu/kernels/loops.h"
#include "device/cpu/kernels/words.h"
#include "device/cpu/kernels/dot_vnni.h"
#include "device/cpu/kernels/int8.h"
// clang-format on

}  // namespace

const Kernels& kernels_avx512_vnni() {
  static const Kernels table = [] {
    Kernels with_vnni = kernels_avx512();
    with_vnni.multiply_int8 = multiply_int8<Dot>;
    with_vnni.burn_int8 = burn_int8<Dot>;
    return with_vnni;
  }();
  return table;
}

}  // namespace thresher::device::cpu
