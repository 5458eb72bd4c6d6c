// What the CUDA runtime says about the driver and the GPUs, in words. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace thresher::device::cuda {

// As cudaDriverGetVersion, cudaRuntimeGetVersion and cudaGetDeviceCount tell it.
struct DriverState {
  int driver = 0;       // the CUDA version that the driver is made for, 13000 for 13.0; 0: no driver
  int runtime = 0;      // the one that this program is built with
  int code = 0;         // of cudaGetDeviceCount
  std::string message;  // of that code
  int count = -1;       // valid where the code is 0
};

// "13.0"
std::string version_text(int version);

// Why no GPU can be used, and what to do; nothing where one can.
std::optional<std::string> trouble(const DriverState& state);

// Why an allocation failed.
std::string out_of_memory(std::int64_t needed, std::int64_t free, std::int64_t total, const std::string& gpu);

}  // namespace thresher::device::cuda
