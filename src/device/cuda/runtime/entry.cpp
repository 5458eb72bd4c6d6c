#include "device/cuda/entry.h"

#include <cuda_runtime.h>
#include <fmt/format.h>

#include <cstdlib>

#include "device/cuda/driver.h"
#include "device/cuda/runtime/cuda_device.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

int count_gpus() {
  DriverState state;
  check(cudaDriverGetVersion(&state.driver), "asking for the driver's version");
  check(cudaRuntimeGetVersion(&state.runtime), "asking for the runtime's version");
  const cudaError_t code = cudaGetDeviceCount(&state.count);  // leaves it untouched where it fails
  state.code = static_cast<int>(code);
  state.message = cudaGetErrorString(code);
  if (const auto why = trouble(state)) base::fail(base::Exit::unavailable, *why, std::source_location());
  return state.count;
}

std::string uuid_of(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

std::vector<Gpu> list() {
  std::vector<Gpu> all;
  const int count = count_gpus();
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, i), "asking for the GPU's properties");
    all.push_back({.name = properties.name,
                   .uuid = uuid_of(properties.uuid),
                   .major = properties.major,
                   .minor = properties.minor,
                   .processors = properties.multiProcessorCount,
                   .numa_node = properties.hostNumaId,
                   .memory = static_cast<std::int64_t>(properties.totalGlobalMem)});
  }
  return all;
}

// Libraries read these, and compute other bits: TF32 in place of f32, sums in other numbers.
void refuse_overrides() {
  for (const char* name : {"NVIDIA_TF32_OVERRIDE", "CUBLAS_EMULATE_SINGLE_PRECISION", "CUBLAS_EMULATION_STRATEGY"}) {
    const char* value = std::getenv(name);
    if (value && *value && std::string_view(value) != "0")
      base::fail(base::Exit::config,
                 fmt::format("{}={} in the environment changes what cuBLASLt computes; unset it", name, value),
                 std::source_location());
  }
}

std::unique_ptr<Device> make(const CudaOptions& options) {
  refuse_overrides();
  const std::vector<Gpu> all = list();
  if (options.gpu < 0 || options.gpu >= static_cast<int>(all.size()))
    base::fail(
        base::Exit::unavailable,
        fmt::format("GPU {} is asked for, this process sees {} (0 to {})", options.gpu, all.size(), all.size() - 1),
        std::source_location());
  const Gpu& gpu = all[static_cast<std::size_t>(options.gpu)];
  if (gpu.major < 8)
    base::fail(base::Exit::unavailable,
               fmt::format("{} has compute capability {}.{}, at least 8.0 is needed (A100 and later)", gpu.name,
                           gpu.major, gpu.minor),
               std::source_location());
  return std::make_unique<CudaDevice>(options, gpu);
}

CudaDevice& cuda_device(Device& device) {
  auto* const known = dynamic_cast<CudaDevice*>(&device);
  if (!known) base::fail(base::Exit::internal, "algorithms are asked of a device that is no CUDA device");
  return *known;
}

std::string algorithms(Device& device) {
  return cuda_device(device).algorithms();
}

std::string rehearse_on(Device& device, const std::function<void()>& body) {
  return cuda_device(device).rehearse(body);
}

Tuning tune_on(Device& device, std::string_view steps) {
  return cuda_device(device).tune(steps);
}

std::int64_t allocated_peak_on(Device& device) {
  return cuda_device(device).allocated_peak();
}

void take(Device& device, std::string_view algorithms) {
  cuda_device(device).take_algorithms(algorithms);
}

constexpr Entry table{THRESHER_CUDA_INTERFACE, list, make, algorithms, rehearse_on, tune_on, allocated_peak_on, take};

}  // namespace
}  // namespace thresher::device::cuda

extern "C" __attribute__((visibility("default"))) const thresher::device::cuda::Entry* thresher_cuda() {
  return &thresher::device::cuda::table;
}
