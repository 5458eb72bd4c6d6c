// Each step's speed at a model's shape, as a share of the device's measured peak.
#pragma once

#include <string>
#include <vector>

#include "thresher/device/device.h"

namespace thresher::device {

// What decides the cost of a decoder's steps.
struct BenchShape {
  std::int64_t layers = 0;
  std::int64_t width = 0;
  std::int64_t inner = 0;  // of the gated MLP
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_size = 0;
  std::int64_t vocabulary = 0;
  std::int64_t tokens = 0;           // of a batch
  std::int64_t sequence_length = 0;  // of its documents; the last may be shorter
  bool pieces = true;                // products that ranks may share are in pieces
  bool int8_head = false;            // with products in i8
};

struct BenchRow {
  std::string step;
  std::int64_t calls = 0;   // of it in one batch
  double seconds = 0;       // of one call, the median
  double flop = 0;          // of one call
  double bytes = 0;         // of one call: each operand once
  double peak_share = 0;    // flop / seconds / peak; 0 for steps without products
  double memory_share = 0;  // bytes / seconds / memory; over 1 where operands stay in caches
};

struct BenchReport {
  double peak = 0;    // FLOP/s of products of this dtype with the device's threads, measured around the steps
  double memory = 0;  // bytes/s of `add` on operands that no cache holds: two read, one written
  std::vector<BenchRow> rows;

  double seconds() const;          // of one batch: all steps, all calls
  double product_seconds() const;  // of its matrix products; score's own part of it included
  double flop() const;
  double score_product_seconds = 0;  // of one batch
};

// Runs each step alone on random numbers for about `seconds_per_step`.
BenchReport bench_steps(Device& device, const BenchShape& shape, DType dtype, double seconds_per_step);

}  // namespace thresher::device
