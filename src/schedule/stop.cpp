#include "schedule/stop.h"

#include <algorithm>

#include "thresher/base/signals.h"

namespace thresher::schedule {

void Stop::limit(const StopRule::Limits& limits) {
  const std::lock_guard lock(mutex_);
  rule_.limit(limits);
}

void Stop::asked(const StopRequest& request, double now) {
  const std::lock_guard lock(mutex_);
  rule_.asked(request.times, now);
  signal_ = request.signal;
}

void Stop::learn(double shard_seconds, double commit_seconds) {
  const std::lock_guard lock(mutex_);
  rule_.shard_took(shard_seconds);
  rule_.commit_took(commit_seconds);
}

std::optional<StopOrder> Stop::decide(double now) {
  const std::lock_guard lock(mutex_);
  const StopOrder order = rule_.decide(now);
  if (order.level <= decided_) return std::nullopt;
  decided_ = order.level;
  return order;
}

std::string Stop::reason() const {
  const std::lock_guard lock(mutex_);
  return rule_.by_time() ? "the time limit" : base::signal_name(signal_);
}

void Stop::obey(const StopOrder& order, double now) {
  if (order.level == StopLevel::finish) end_ = now + order.seconds;
  if (order.level == StopLevel::drop) end_ = now;
  level_ = order.level;
}

}  // namespace thresher::schedule
