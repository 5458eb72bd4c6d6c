#include "device/cuda/gpu_account.h"

#include <algorithm>

namespace thresher::device::cuda {
namespace {

// NVML's reasons that are no choice of anybody's: power cap, hardware slowdown, heat (software, hardware), power brake.
constexpr std::uint64_t held_down = 0x04 | 0x08 | 0x20 | 0x40 | 0x80;

void accumulate(std::optional<double>& sum, double value) {
  sum = sum.value_or(0) + value;
}

}  // namespace

std::optional<double> GpuAccount::joules_since(const GpuLook& before, const GpuLook& now) const {
  if (before.millijoules && now.millijoules && *now.millijoules >= *before.millijoules)
    return 1e-3 * static_cast<double>(*now.millijoules - *before.millijoules);
  if (before.milliwatts && now.milliwatts)
    return 0.5e-3 * (static_cast<double>(*before.milliwatts) + *now.milliwatts) * (now.time - before.time);
  return std::nullopt;
}

void GpuAccount::add(const GpuLook& look) {
  if (look.bytes) use_.memory_peak = std::max(use_.memory_peak.value_or(0), static_cast<std::int64_t>(*look.bytes));
  if (last_) {
    const double during = look.time - last_->time;
    use_.seconds += during;
    if (const auto joules = joules_since(*last_, look)) accumulate(use_.energy, *joules);
    if (look.percent) utilisation_.add(0.01 * *look.percent, during);
    if (look.megahertz) clock_.add(*look.megahertz, during);
    if (look.reasons) accumulate(use_.throttled, (*look.reasons & held_down) != 0 ? during : 0);
  }
  last_ = look;
}

GpuUse GpuAccount::use() const {
  GpuUse use = use_;
  use.utilisation = utilisation_.value();
  use.clock = clock_.value();
  return use;
}

}  // namespace thresher::device::cuda
