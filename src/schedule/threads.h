// The threads of a rank, and the cores they run on.
#pragma once

#include <span>
#include <string>

#include "thresher/base/cores.h"
#include "thresher/comm/comm.h"
#include "thresher/schedule/job.h"

namespace thresher::schedule {

struct Threads {
  int count = 1;       // that compute
  base::Cores pinned;  // the core of each, or empty: the system moves them

  // The core of the thread that gives the device its steps.
  base::Core first() const { return pinned.empty() ? base::Core() : pinned.front(); }
};

// Of a process whose share of the cores this is; `worth` is the number of cores that the control group's quota lets
// each rank of this host use. Pinned where that gains and harms nobody: where the rank computes on all cores of its
// share, which no other rank has. A job that leaves cores free may be one of several side by side, and all would be
// pinned to the same ones; `Pin::on` pins it nevertheless.
Threads choose_threads(int asked, Pin pin, const base::CoreShare& share, int worth);

// Collective. This rank's, on a host of each name in `hosts` (by rank). If they are pinned the process is bound to
// their cores, so that what it allocates is near, and its other threads use what they leave.
Threads take_threads(const Job& job, comm::Comm& world, std::span<const std::string> hosts);

}  // namespace thresher::schedule
