// How far a run is, by what lies in its directory; while it runs or afterwards, from any machine that sees it.
#pragma once

#include <cstdint>

#include "thresher/base/file.h"

namespace thresher::store {

struct RunCount {
  bool planned = false;  // plan.json is there, and what follows is known
  std::int64_t shards = 0, documents = 0;
  std::int64_t parts = 0, documents_done = 0;  // committed, not looked into
  bool finished = false;                       // _SUCCESS
};

// Reads names and plan.json only. Throws base::Error (no_input) if this is no run directory, and data for a damaged
// plan.json.
RunCount count_run(base::FileSystem& files, const base::Path& directory);

}  // namespace thresher::store
