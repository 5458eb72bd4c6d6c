// When a job stops early, and how long what is under way may still take. Pure: the clock comes in.
#pragma once

#include <cstdint>
#include <limits>

namespace thresher::schedule {

enum class StopLevel : std::int32_t {
  none,
  finish,  // no new shard is begun, those under way may be finished in time
  drop     // what is not finished is dropped
};

// What rank zero tells all ranks.
struct StopOrder {
  StopLevel level = StopLevel::none;
  double seconds = 0;  // with finish: from now until scoring has to end
};

class StopRule {
 public:
  struct Limits {
    double end = std::numeric_limits<double>::infinity();  // when everything has to be committed
    double grace = 0;                                      // the same, in seconds from the first signal on
  };
  void limit(const Limits& limits) { limits_ = limits; }

  // Some rank has been asked so often to stop.
  void asked(int times, double now);
  // How long shards take from their first token to their rows, and a commit.
  void shard_took(double seconds);
  void commit_took(double seconds);

  // By time alone a job stops early enough for a new shard not to be in vain. Levels never fall.
  StopOrder decide(double now);
  // It was the time and not a signal.
  bool by_time() const { return times_ == 0; }

 private:
  double end() const;
  double reserve() const;

  Limits limits_;
  StopLevel level_ = StopLevel::none;
  int times_ = 0;
  double first_asked_ = 0;
  double shard_ = 0, commit_ = 0;
};

}  // namespace thresher::schedule
