// From looks at a GPU to what it did in between. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "thresher/device/meter.h"

namespace thresher::device::cuda {

// One look. What the GPU did not tell is left out.
struct GpuLook {
  double time = 0;                                // seconds
  std::optional<std::uint64_t> millijoules = {};  // since the driver was loaded
  std::optional<std::uint32_t> milliwatts = {};
  std::optional<std::uint32_t> percent = {};  // of the time before it in which kernels ran
  std::optional<std::uint32_t> megahertz = {};
  std::optional<std::uint64_t> bytes = {};    // in use
  std::optional<std::uint64_t> reasons = {};  // for lower clocks, NVML's bits
};

class GpuAccount {
 public:
  // Times ascend. Energy is the counter's difference; where the counter is missing or went back, the mean of the power
  // at both ends times the seconds between them.
  void add(const GpuLook& look);
  GpuUse use() const;

 private:
  // A mean over time.
  struct Mean {
    double sum = 0, seconds = 0;
    void add(double value, double during) { sum += value * during, seconds += during; }
    std::optional<double> value() const { return seconds > 0 ? std::optional(sum / seconds) : std::nullopt; }
  };
  std::optional<double> joules_since(const GpuLook& before, const GpuLook& now) const;

  std::optional<GpuLook> last_;
  GpuUse use_;
  Mean utilisation_, clock_;
};

}  // namespace thresher::device::cuda
