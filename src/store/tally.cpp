#include "store/tally.h"

#include <fmt/format.h>

#include "store/json_text.h"
#include "thresher/base/check.h"

namespace thresher::store {

// The sum over a shard is made first and then added, so that it does not depend on who scored the shard.
void add_rows(Totals& totals, const Rows& rows, const Columns& columns) {
  double logprob = 0;
  for (std::size_t i = 0; i < rows.status.size(); ++i) {
    ++totals.by_status[static_cast<std::size_t>(rows.status[i])];
    if (rows.status[i] != Status::ok && rows.status[i] != Status::windowed) continue;
    totals.tokens += rows.tokens[i];
    totals.bytes += rows.bytes[i];
    totals.words += rows.words[i];
    logprob += rows.logprob[i];
    if (columns.pairs) totals.pairs_greedy += rows.is_greedy[i] != 0;
  }
  totals.documents += rows.count();
  totals.logprob += logprob;
}

std::string reject_lines(const Rows& rows, const std::vector<std::string>& ids) {
  std::string lines;
  for (const Rows::Reject& reject : rows.rejects) {
    const std::int64_t at = reject.document - rows.first;
    if (at < 0 || at >= rows.count()) {
      base::fail(base::Exit::data,
                 fmt::format("shard {}: reason for document {}, which it does not hold", rows.shard, reject.document));
    }
    lines += fmt::format("{{\"document\": {}, \"id\": ", reject.document);
    append_json(lines, ids[static_cast<std::size_t>(at)]);
    lines += fmt::format(", \"status\": \"{}\", \"reason\": ", name_of(rows.status[static_cast<std::size_t>(at)]));
    append_json(lines, reject.reason);
    lines += "}\n";
  }
  return lines;
}

}  // namespace thresher::store
