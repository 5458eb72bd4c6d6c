// An error on one rank is an error on all: nobody is left waiting in a collective call.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "schedule/protocol.h"
#include "thresher/comm/comm.h"

namespace thresher::schedule {

// Collective. Every rank does its `work`; if any failed, all throw the lowest such rank's error, with the rank's name
// in front unless all failed alike. `names` by rank; empty where ranks have none yet.
template <class Work>
void agree(comm::Comm& comm, std::span<const std::string> names, const Work& work) {
  std::string outcome;
  try {
    as_error(work);
  } catch (const base::Error& error) {
    outcome = pack_error(error);
  }
  const std::vector<std::string> outcomes = comm.all_gather(outcome);
  const auto failed = std::find_if(outcomes.begin(), outcomes.end(), [](const auto& one) { return !one.empty(); });
  if (failed == outcomes.end()) return;
  const base::Error error = unpack_error(*failed);
  const bool alike = std::all_of(outcomes.begin(), outcomes.end(), [&](const auto& one) { return one == *failed; });
  if (names.empty() || alike || !is_of_one_rank(error.code())) throw error;
  throw error_of(names[static_cast<std::size_t>(failed - outcomes.begin())], error);
}

}  // namespace thresher::schedule
