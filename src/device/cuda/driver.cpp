#include "device/cuda/driver.h"

#include <fmt/format.h>

namespace thresher::device::cuda {
namespace {

// cudaError_t's values, which never change.
constexpr int insufficient_driver = 35;
constexpr int no_device = 100;
constexpr int system_not_ready = 802;

double mebibytes(std::int64_t bytes) {
  return static_cast<double>(bytes) / 1048576;
}

}  // namespace

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::optional<std::string> trouble(const DriverState& state) {
  const std::string runtime = version_text(state.runtime);
  if (state.driver == 0)
    return fmt::format(
        "no NVIDIA driver on this host (a driver for CUDA {} is needed); in a container, start it with "
        "its GPUs, or use the CPU (--device cpu)",
        runtime);
  if (state.driver / 1000 < state.runtime / 1000)
    return fmt::format("the NVIDIA driver is too old: it is made for CUDA {}, this program needs {}; update the driver",
                       version_text(state.driver), runtime);
  if (state.code == no_device || (state.code == 0 && state.count == 0))
    return "the NVIDIA driver shows no GPU: there is none, or CUDA_VISIBLE_DEVICES hides it";
  if (state.code == 0) return std::nullopt;
  const char* advice = state.code == insufficient_driver ? "update the driver"
                       : state.code == system_not_ready  ? "the host's fabric manager has to run"
                                                         : "nvidia-smi may tell more";
  return fmt::format(
      "the GPUs of this host cannot be used: {} (code {}, driver for CUDA {}, program built with {}); {}",
      state.message, state.code, version_text(state.driver), runtime, advice);
}

std::string out_of_memory(std::int64_t needed, std::int64_t free, std::int64_t total, const std::string& gpu) {
  return fmt::format(
      "out of GPU memory: {:.0f} MiB needed at once, {:.0f} of {:.0f} MiB are free on {}; lower --tokens-per-batch or "
      "--window, spread the model over more GPUs (--layout pp=2), or end other programs on this GPU",
      mebibytes(needed), mebibytes(free), mebibytes(total), gpu);
}

}  // namespace thresher::device::cuda
