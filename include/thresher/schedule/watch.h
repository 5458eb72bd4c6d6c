// Tells from what ranks say about themselves whether one of them has stopped working. Pure: the clock comes in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "thresher/base/activity.h"

namespace thresher::schedule {

// One rank's threads at one moment: the one that scores, the one that reads, the one that commits.
struct Pulse {
  struct Thread {
    base::Doing doing = base::Doing::nothing;
    std::uint64_t ticks = 0;
    double seconds = 0;  // since it began
    char what[48] = {};
  };
  Thread threads[3];

  void set(int thread, const base::Activity::State& state);
};

// What this rank's threads are doing.
struct Activities {
  base::Activity scorer, reader, committer;

  Pulse pulse() const;
};

// "computing a batch for 41 s", of the thread that matters most.
std::string describe(const Pulse& pulse);

class Watch {
 public:
  // Nobody has been heard at `now`; a rank may be silent, or a computation stand still, for `limit` seconds.
  Watch(int ranks, double limit, double now);

  void heard(int rank, const Pulse& pulse, double now);
  // The watcher itself was held up: what it did not hear meanwhile does not count.
  void forgive(double now);

  // Why the job cannot go on, and the rank to blame, if so: a rank that is not heard, a computation without progress,
  // or everybody waiting for each other. Threads at work that does not tick have all the time they need.
  struct Verdict {
    int rank = 0;
    std::string reason;
  };
  std::optional<Verdict> check(double now) const;
  // How long each rank has been silent, and what it said last.
  struct Word {
    double silence = 0;
    std::string doing;
  };
  std::vector<Word> words(double now) const;
  // The first of these reasons alone.
  std::optional<Verdict> silent(double now) const;

 private:
  struct Rank {
    Pulse pulse;
    double heard = 0;     // when
    double progress = 0;  // when a thread that computes last ticked, or began
    bool waits = false;   // all its threads wait or do nothing
  };

  const double limit_;
  double moved_;  // when somebody last did anything but wait
  std::vector<Rank> ranks_;
};

}  // namespace thresher::schedule
