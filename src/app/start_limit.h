// A limit of time for something that may never return.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace thresher::app {

// Calls `expired` on a thread of its own if it lives longer than this many seconds; with 0 it never does.
class StartLimit {
 public:
  StartLimit(double seconds, std::function<void()> expired);
  StartLimit(const StartLimit&) = delete;
  StartLimit& operator=(const StartLimit&) = delete;
  ~StartLimit() = default;

 private:
  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread thread_;  // ends first
};

}  // namespace thresher::app
