// The fastest of the algorithms that give a row the same bits in every product.
#pragma once

#include <span>

#include "device/cuda/runtime/trial.h"

namespace thresher::device::cuda {

// Seconds that one product's algorithms are tried for; who has not had a turn by then is not considered.
constexpr double tuning_seconds = 1;

// An algorithm whose bits differ from those of the first in cuBLASLt's list has to be this much faster than those that
// share them: jobs that are tuned apart then disagree only where it pays.
constexpr double worth_other_bits = 0.03;

struct TunedProduct {
  Choice choice;
  double seconds = 0;        // of one product of the trial's rows
  double first_seconds = 0;  // what the first of the list that passes takes
  double flop = 0;           // of one product
};

// `suggestions` are cuBLASLt's, in its order. Throws base::Error (unavailable) where none serves.
TunedProduct fastest(Trial& trial, std::span<const cublasLtMatmulAlgo_t> suggestions);

}  // namespace thresher::device::cuda
