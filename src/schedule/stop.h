// The early stop of a job as this rank sees it. Any thread.
#pragma once

#include <atomic>
#include <limits>
#include <mutex>
#include <optional>
#include <string>

#include "thresher/schedule/stop_rule.h"

namespace thresher::schedule {

// A rank's news for rank zero.
struct StopRequest {
  std::int32_t times = 0;
  std::int32_t signal = 0;
};

class Stop {
 public:
  // What a stop ends: before scoring everything at once, while scoring what StopLevel says, afterwards nothing unless
  // it is asked for twice.
  enum class Phase : std::uint8_t { preparing, scoring, publishing };

  // Rank zero's side, which decides.
  void limit(const StopRule::Limits& limits);
  void enter(Phase phase) { phase_ = phase; }
  void asked(const StopRequest& request, double now);
  // What StopRule learns; 0 where nothing is known.
  void learn(double shard_seconds, double commit_seconds);
  // An order that all ranks have not been given yet.
  std::optional<StopOrder> decide(double now);
  Phase phase() const { return phase_; }
  // "SIGTERM", "the time limit".
  std::string reason() const;

  // Every rank's side, which obeys.
  void obey(const StopOrder& order, double now);
  StopLevel level() const { return level_; }
  // Until scoring has to end; infinite where nothing stops it.
  double seconds_left(double now) const { return end_ - now; }

 private:
  mutable std::mutex mutex_;  // of what follows
  StopRule rule_;
  int signal_ = 0;
  StopLevel decided_ = StopLevel::none;

  std::atomic<Phase> phase_{Phase::preparing};
  std::atomic<StopLevel> level_{StopLevel::none};
  std::atomic<double> end_{std::numeric_limits<double>::infinity()};
};

}  // namespace thresher::schedule
