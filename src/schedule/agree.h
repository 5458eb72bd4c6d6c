// An error on one rank is an error on all: nobody is left waiting in a collective call.
#pragma once

#include <string>

#include "schedule/protocol.h"
#include "thresher/comm/comm.h"

namespace thresher::schedule {

// Collective. Every rank does its `work`; if any failed, all throw the lowest such rank's error.
template <class Work>
void agree(comm::Comm& comm, const Work& work) {
  std::string outcome;
  try {
    as_error(work);
  } catch (const base::Error& error) {
    outcome = pack_error(error);
  }
  for (const std::string& other : comm.all_gather(outcome))
    if (!other.empty()) throw unpack_error(other);
}

}  // namespace thresher::schedule
