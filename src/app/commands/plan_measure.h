// This machine's speed at a model's shape, for `thresher plan`.
#pragma once

#include "thresher/schedule/cost.h"

namespace thresher::app {

// Scores random batches with a two-layer model of this shape (at most 2,048 wide, with at most 16,384 tokens of
// vocabulary) for about `seconds`, with all of this process's cores. Throws base::Error.
schedule::Machine measure_machine(const schedule::Demand& demand, double seconds);

}  // namespace thresher::app
