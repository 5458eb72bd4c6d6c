// What is summed up over the parts, in shard order.
#pragma once

#include <string>
#include <vector>

#include "thresher/store/result.h"
#include "thresher/store/run_directory.h"

namespace thresher::store {

void add_rows(Totals& totals, const Rows& rows, const Columns& columns);

// The lines of rejects.jsonl about one shard; `ids` are those of its documents. Throws base::Error (data) for a reason
// about a document that it does not hold.
std::string reject_lines(const Rows& rows, const std::vector<std::string>& ids);

}  // namespace thresher::store
