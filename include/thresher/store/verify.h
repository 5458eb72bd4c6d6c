// Whether a run directory holds what it says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/store/run_directory.h"

namespace thresher::store {

struct Verification {
  bool finished = false;       // has _SUCCESS; otherwise nothing but the parts was looked at
  bool sharded = false;        // what the plan says
  std::int64_t shards = 0;     // of the plan
  std::int64_t committed = 0;  // parts that are there and without fault
  std::int64_t tokens = 0;     // rows of /token/... in them
  Totals totals;               // of their rows
  std::vector<std::string> faults;
  std::int64_t fault_count = 0;  // of them the first are in `faults`
};

// Checks plan.json, every part (digest, place, job, values that can be), results.h5 against the parts row by row,
// rejects.jsonl, and the totals in summary.json and _SUCCESS. Reads everything once or twice and holds two parts in
// memory; takes no lock and changes nothing. Throws base::Error: no_input (not a run directory), again (no plan yet),
// io.
Verification verify_run(base::FileSystem& files, const base::Path& directory, std::size_t most_faults);

}  // namespace thresher::store
