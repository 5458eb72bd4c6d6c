// What a GPU did while somebody watched, by the driver's management library (NVML), where that is installed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace thresher::device {

// Of all processes together. What the GPU does not tell is left out.
struct GpuUse {
  double seconds = 0;                       // watched
  std::optional<double> energy;             // joules
  std::optional<double> utilisation;        // share of the time in which any kernel ran, 0 to 1
  std::optional<double> throttled;          // seconds that heat or power held the clocks down
  std::optional<double> clock;              // MHz of the processors, the mean
  std::optional<std::int64_t> memory_peak;  // bytes in use, the most that was seen
};

// Looks at one GPU now and then on a thread of its own.
class GpuMeter {
 public:
  struct Options {
    double period = 1;  // seconds between two looks
    std::string library = "libnvidia-ml.so.1";
  };

  virtual ~GpuMeter() = default;
  // Ends the watch. Once.
  virtual GpuUse stop() = 0;
};

// Begins to watch. Null, and a line in the log that says why, where NVML is missing or does not know the GPU.
std::unique_ptr<GpuMeter> watch_gpu(const std::string& uuid, const GpuMeter::Options& options);
inline std::unique_ptr<GpuMeter> watch_gpu(const std::string& uuid) {
  return watch_gpu(uuid, {});
}

}  // namespace thresher::device
