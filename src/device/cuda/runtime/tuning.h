// The fastest algorithm among those that share their bits.
//
// The first in cuBLASLt's list that gives a row the same bits in every product says which bits are right, and the
// others have to agree with it: what is measured decides how fast results come, never what they are. So jobs that are
// measured apart, with other layouts or after the list of choices was lost, still agree to the bit.
#pragma once

#include <span>

#include "device/cuda/runtime/trial.h"

namespace thresher::device::cuda {

// Seconds that one product's algorithms are tried for; who has not had a turn by then is not considered.
constexpr double tuning_seconds = 1;

struct TunedProduct {
  Choice choice;
  double seconds = 0;        // of one product of the trial's rows
  double first_seconds = 0;  // what the first of the list that passes takes
  double left_out = 0;       // the fastest that is steady, but of other bits, and faster than `seconds`; 0: none
  double flop = 0;           // of one product
};

// `suggestions` are cuBLASLt's, in its order. Throws base::Error (unavailable) where none serves.
TunedProduct fastest(Trial& trial, std::span<const cublasLtMatmulAlgo_t> suggestions);

}  // namespace thresher::device::cuda
