// Ending a job early without hanging.
#pragma once

#include <chrono>

#include "thresher/base/check.h"

namespace thresher::comm {

// From now on every wait of this process, in any thread, throws `reason`: those that are under way and all later ones,
// in every Comm, pipe and Mailbox::take or flush. The first reason stays; there is no way back. Thread-safe.
//
// What is destroyed afterwards neither waits nor frees memory that MPI may still use: receives are cancelled, the
// memory of sends that nobody took stays allocated, communicators stay as they are. MPI_Finalize then ends if all ranks
// call it; all_leave() tells, and where it says false, MPI_Abort is the only way out.
void cancel(const base::Error& reason);
// Throws the reason, if there is one, or a failure of this process's exchanges that nobody was told yet: for long work
// between waits, and before numbers are used that came from other ranks' devices.
void throw_if_cancelled();

// Collective over MPI_COMM_WORLD. True if all ranks call this within the given time; works after cancel().
bool all_leave(std::chrono::milliseconds within);

}  // namespace thresher::comm
