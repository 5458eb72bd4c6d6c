// Sequences of a batch that begin with rows of others.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "thresher/device/device.h"

namespace thresher::device {

// What sequence i begins with, in order; empty where it is all its own.
std::span<const RowRun> runs_of(const Sequences& sequences, std::int64_t i);
std::int64_t inherited_rows(const Sequences& sequences, std::int64_t i);

// The rows of one sequence after another, each of which may begin with the first rows of the one before it.
class RowChain {
 public:
  // The next sequence: the first `inherited` rows of the one before, at most as many as it has, then rows
  // [first, first + count) of the batch.
  void next(std::int64_t inherited, std::int64_t first, std::int64_t count);
  // Of the newest sequence: what it inherits, and all it has.
  std::span<const RowRun> inherited() const { return std::span(runs_).first(inherited_); }
  std::span<const RowRun> rows() const { return runs_; }

 private:
  std::vector<RowRun> runs_;
  std::size_t inherited_ = 0;
};

}  // namespace thresher::device
