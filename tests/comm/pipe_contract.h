// What every Comm's pipes have to do.
#pragma once

#include "thresher/comm/comm.h"

namespace thresher::comm {

// All collective. Messages of random sizes around a ring, with slow writers and slow readers.
void check_pipes(Comm& comm);
// Both ends ask without waiting; and that wrong use is refused.
void check_polling(Comm& comm);

}  // namespace thresher::comm
