#include <immintrin.h>

#include <cstdint>
#include <type_traits>

#include "device/cpu/kernels.h"

namespace thresher::device::cpu {
namespace {

using Bf16 = std::uint16_t;
// Each builds on those before it.
// clang-format off
#include "device/cpu/simd_avx2.h"
#include "device/cpu/kernels/math.h"
#include "device/cpu/kernels/loops.h"
#include "device/cpu/kernels/words.h"
#include "device/cpu/kernels/rows.h"
#include "device/cpu/kernels/quantise.h"
#include "device/cpu/kernels/product.h"
#include "device/cpu/kernels/slab.h"
#include "device/cpu/kernels/attend.h"
#include "device/cpu/kernels/score.h"
#include "device/cpu/kernels/burn.h"
#include "device/cpu/kernels/dot_avx2.h"
#include "device/cpu/kernels/int8.h"
// clang-format on

}  // namespace

const Kernels& kernels_avx2() {
  static const Kernels table{.isa = Isa::avx2,
                             .convert = convert,
                             .embed = embed,
                             .norm = norm,
                             .rope = rope,
                             .gate = gate,
                             .finish = finish,
                             .multiply_slabs = multiply_slabs<WordF32>,
                             .attend = attend<WordF32>,
                             .score = score,
                             .quantise = quantise,
                             .norm_quantised = norm_quantised,
                             .multiply_int8 = multiply_int8<Dot>,
                             .burn_f32 = burn<WordF32>,
                             .burn_bf16 = burn<WordF32>,
                             .burn_int8 = burn_int8<Dot>};
  return table;
}

}  // namespace thresher::device::cpu
