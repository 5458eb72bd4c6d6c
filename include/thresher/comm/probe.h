// Whether MPI works here.
#pragma once

#include <string>

namespace thresher::comm {

struct MpiState {
  std::string library;   // "Open MPI v4.1.4"
  std::string standard;  // "3.1"
  bool threads = false;  // it allows them as this program needs
  int ranks = 0;
};

// Starts MPI, looks and ends it, which a process can do once: to be called in one that does nothing else. MPI may end
// the process, in its own words. Collective over all processes that the launcher started.
MpiState try_mpi();

}  // namespace thresher::comm
