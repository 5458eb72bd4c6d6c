#include "thresher/schedule/stop_rule.h"

#include <algorithm>

namespace thresher::schedule {
namespace {

// The longest of late: an outlier counts less and less.
constexpr double memory = 0.95;
// Shards and commits differ.
constexpr double shard_margin = 1.25, commit_margin = 3;
// For ranks to take leave of each other and of MPI.
constexpr double leaving = 1;

}  // namespace

void StopRule::asked(int times, double now) {
  if (times_ == 0 && times > 0) first_asked_ = now;
  times_ = std::max(times_, times);
}

void StopRule::shard_took(double seconds) {
  shard_ = std::max(seconds, memory * shard_);
}

void StopRule::commit_took(double seconds) {
  commit_ = std::max(seconds, memory * commit_);
}

double StopRule::end() const {
  return times_ > 0 ? std::min(limits_.end, first_asked_ + limits_.grace) : limits_.end;
}

double StopRule::reserve() const {
  return leaving + commit_margin * commit_;
}

StopOrder StopRule::decide(double now) {
  const double scored = end() - reserve();
  const bool late = times_ == 0 && now >= scored - shard_margin * shard_;
  StopLevel level = times_ > 0 || late ? StopLevel::finish : StopLevel::none;
  // Who has not ended by now will not end in time.
  if (times_ > 1 || (level_ != StopLevel::none && now >= end() - reserve() / 2)) level = StopLevel::drop;
  level_ = std::max(level_, level);
  return {level_, std::max(0.0, scored - now)};
}

}  // namespace thresher::schedule
