// What every Comm and Mailbox has to do when several threads of a rank use the floor at once.
#pragma once

#include "thresher/comm/comm.h"
#include "thresher/comm/mailbox.h"

namespace thresher::comm {

// All collective. Sums in two groups, a pipe and two mailbox channels, each in a thread of its own.
void check_threads(Comm& comm, Mailbox& mailbox);
// A rank whose one thread is inside a collective call that others have not entered yet still gets its messages: those
// others only enter after it has answered.
void check_poll_during_collective(Comm& comm, Mailbox& mailbox);

}  // namespace thresher::comm
