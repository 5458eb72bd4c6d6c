// What every Comm's reductions, exchanges and splits have to do.
#pragma once

#include "thresher/comm/comm.h"

namespace thresher::comm {

// All collective.
void check_broadcast(Comm& comm);
void check_exchange(Comm& comm);
// Where size() is a power of two: bit for bit the sums of a serial tree. Elsewhere: that it is refused.
void check_all_reduce(Comm& comm);
// Splits, splits of splits, and groups that work at the same time.
void check_split(Comm& comm);

}  // namespace thresher::comm
