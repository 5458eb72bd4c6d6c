// Named numbers of one rank (seconds, counts), added up while it works and compared over ranks at the end. No printing.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "thresher/base/clock.h"

namespace thresher::base {

class Metrics {
 public:
  void add(const std::string& name, double value) { values_[name] += value; }
  void set(const std::string& name, double value) { values_[name] = value; }
  double value(const std::string& name) const {
    const auto it = values_.find(name);
    return it == values_.end() ? 0 : it->second;
  }
  const std::map<std::string, double>& values() const { return values_; }

  // One "name value" line each; `decode` reads what `encode` wrote, exactly.
  std::string encode() const;
  static Metrics decode(std::string_view text);

 private:
  std::map<std::string, double> values_;
};

// Adds the seconds of its own life to a metric. Not for two threads at once.
class Timer {
 public:
  Timer(Metrics& metrics, std::string name) : metrics_(metrics), name_(std::move(name)) {}
  ~Timer() { metrics_.add(name_, watch_.seconds()); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  Metrics& metrics_;
  std::string name_;
  Stopwatch watch_;
};

}  // namespace thresher::base
