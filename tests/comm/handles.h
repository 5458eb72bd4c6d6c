// Counts MPI's handles by standing in front of MPI's functions (its profiling interface).
#pragma once

#include <string>

namespace thresher::comm {

struct Handles {
  long communicators = 0, requests = 0, messages = 0, windows = 0, groups = 0;

  bool operator==(const Handles&) const = default;
  std::string text() const;
};

// Made and not freed so far in this process.
Handles open_handles();
// Calls that made something, so that a count of zero at the end can be told from nothing counted.
Handles made_handles();

}  // namespace thresher::comm
