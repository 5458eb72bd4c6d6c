// The progress line: a bar on a terminal, one line every so often elsewhere.
#pragma once

#include <cstdint>
#include <string>

#include "thresher/base/clock.h"
#include "thresher/schedule/coordinator.h"

namespace thresher::schedule {

struct ProgressTotals {
  std::int64_t documents = 0;
  std::int64_t documents_before = 0;  // committed by an earlier run
  double weight = 0;                  // bytes of all shards
  double weight_before = 0;
};

// Writes to standard error. A closed stream or a small terminal never disturbs the job.
class Progress {
 public:
  Progress(const ProgressTotals& totals, const base::Clock& clock, bool terminal, double every_seconds);

  // Call as often as you like; prints when it is time. `weight` is the bytes of the shards committed in this run.
  void update(const Advance& advance, double weight);
  // Ends the bar's line.
  void end();

 private:
  std::string line(const Advance& advance, double weight, double seconds) const;

  const ProgressTotals totals_;
  const base::Clock& clock_;
  const bool terminal_;
  const double every_;
  const double start_;
  double last_;
  bool drawn_ = false;
};

// "1 h 02 min", "3 min 20 s", "7 s".
std::string duration_text(double seconds);
// "1,234,567".
std::string count_text(double count);

}  // namespace thresher::schedule
