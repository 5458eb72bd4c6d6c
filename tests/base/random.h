// Random numbers that a seed fixes on every machine and with every library.
#pragma once

#include <cstdint>

namespace thresher::tests {

// SplitMix64 (Steele, Lea and Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 .. count - 1, for a small count.
  std::int64_t below(std::int64_t count) {
    return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(count));
  }
  // first .. last
  std::int64_t between(std::int64_t first, std::int64_t last) { return first + below(last - first + 1); }
  // Once in `count` times.
  bool once_in(std::int64_t count) { return below(count) == 0; }
  // 0 up to, not including, 1.
  double share() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace thresher::tests
