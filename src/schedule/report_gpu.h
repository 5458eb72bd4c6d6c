// What the job's GPUs did, from what each rank saw of its own one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schedule/report.h"
#include "thresher/base/metrics.h"
#include "thresher/device/meter.h"

namespace thresher::schedule {

// As metrics of a rank. `allocated`: bytes that the rank's device had at most.
void note_gpu(base::Metrics& metrics, const device::GpuUse& use, std::int64_t allocated);

// Over all GPUs, each counted once however many ranks share it.
struct GpuTotals {
  int gpus = 0;
  std::optional<double> energy;            // joules, the sum
  std::optional<double> joules_per_token;  // scored in this run
  std::optional<double> utilisation;       // the mean
  std::optional<double> clock;             // MHz, the mean
  std::optional<double> throttled;         // seconds, of the GPU that was held down the longest
  std::optional<double> memory_peak;       // bytes, of the fullest GPU
  std::optional<double> allocated_peak;    // bytes that ranks allocated, of the GPU with the most
};
GpuTotals gpu_totals(const Outcome& outcome);

// For people, a line; empty without GPUs.
std::string gpu_text(const GpuTotals& totals);

}  // namespace thresher::schedule
