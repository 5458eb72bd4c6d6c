// Time as an argument: monotonic for durations, wall time for people.
#pragma once

#include <chrono>
#include <string>

namespace thresher::base {

class Clock {
 public:
  virtual ~Clock() = default;
  // Seconds since some fixed moment; never goes back.
  virtual double seconds() const = 0;
  // "2026-01-31T23:59:58Z".
  virtual std::string utc() const = 0;
};

Clock& real_clock();

// Seconds since it was made.
class Stopwatch {
 public:
  Stopwatch() : start_(std::chrono::steady_clock::now()) {}
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_;
};

}  // namespace thresher::base
