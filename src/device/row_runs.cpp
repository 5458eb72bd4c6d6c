#include "thresher/device/row_runs.h"

#include <algorithm>

namespace thresher::device {

std::span<const RowRun> runs_of(const Sequences& sequences, std::int64_t i) {
  if (sequences.run_starts.empty()) return {};
  const std::int32_t* starts = sequences.run_starts.data() + i;
  return sequences.runs.subspan(static_cast<std::size_t>(starts[0]), static_cast<std::size_t>(starts[1] - starts[0]));
}

std::int64_t inherited_rows(const Sequences& sequences, std::int64_t i) {
  std::int64_t rows = 0;
  for (const RowRun& run : runs_of(sequences, i)) rows += run.count;
  return rows;
}

// Runs that lie one behind the other are one as soon as both are inherited.
void RowChain::next(std::int64_t inherited, std::int64_t first, std::int64_t count) {
  std::size_t kept = 0;
  for (std::int64_t left = inherited; left > 0 && kept < runs_.size(); ++kept) {
    runs_[kept].count = std::min(runs_[kept].count, static_cast<std::int32_t>(left));
    left -= runs_[kept].count;
  }
  runs_.resize(kept);
  if (kept > 1 && runs_[kept - 2].first + runs_[kept - 2].count == runs_[kept - 1].first) {
    runs_[kept - 2].count += runs_[kept - 1].count;
    runs_.pop_back();
  }
  inherited_ = runs_.size();
  if (count > 0) runs_.push_back({static_cast<std::int32_t>(first), static_cast<std::int32_t>(count)});
}

}  // namespace thresher::device
