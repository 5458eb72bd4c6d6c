// What a thread is doing, for whoever watches it from another thread or another machine.
#pragma once

#include <atomic>
#include <cstdint>

#include "thresher/base/clock.h"

namespace thresher::base {

enum class Doing : std::uint8_t {
  nothing,
  computing,  // ticks often
  waiting,    // for another thread or rank
  working     // at the disk, or at something else that takes its time
};

// One thread changes it, any thread looks.
class Activity {
 public:
  struct State {
    Doing doing = Doing::nothing;
    const char* what = "";
    std::uint64_t ticks = 0;
    double seconds = 0;  // since it began
  };

  // `what` must live for ever: a literal.
  void begin(Doing doing, const char* what) {
    doing_.store(doing, std::memory_order_relaxed);
    what_.store(what, std::memory_order_relaxed);
    since_.store(now(), std::memory_order_relaxed);
    tick();
  }
  // A step of it is done.
  void tick() { ticks_.fetch_add(1, std::memory_order_relaxed); }
  State state() const {
    return {doing_.load(std::memory_order_relaxed), what_.load(std::memory_order_relaxed),
            ticks_.load(std::memory_order_relaxed), now() - since_.load(std::memory_order_relaxed)};
  }

 private:
  static double now() { return real_clock().seconds(); }

  std::atomic<Doing> doing_{Doing::nothing};
  std::atomic<const char*> what_{""};
  std::atomic<std::uint64_t> ticks_{0};
  std::atomic<double> since_{0};
};

// Doing something while it lives, then again what was done before.
class During {
 public:
  During(Activity& activity, Doing doing, const char* what) : activity_(activity), before_(activity.state()) {
    activity_.begin(doing, what);
  }
  ~During() { activity_.begin(before_.doing, before_.what); }
  During(const During&) = delete;
  During& operator=(const During&) = delete;

 private:
  Activity& activity_;
  const Activity::State before_;
};

}  // namespace thresher::base
