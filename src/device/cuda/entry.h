// What thresher_cuda.so gives to the program: one symbol, `thresher_cuda`, a function that returns the table below.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "thresher/device/cuda.h"

namespace thresher::device::cuda {

// Every call may throw base::Error.
struct Entry {
  // Of the headers that both sides were compiled with, THRESHER_CUDA_INTERFACE: objects cross the border.
  const char* interface;
  std::vector<Gpu> (*gpus)();
  std::unique_ptr<Device> (*make)(const CudaOptions& options);
  std::string (*algorithms)(Device& device);
  std::string (*rehearse)(Device& device, const std::function<void()>& body);
  Tuning (*tune)(Device& device, std::string_view steps);
  std::int64_t (*allocated_peak)(Device& device);
  void (*take)(Device& device, std::string_view algorithms);
};

using EntryFunction = const Entry* (*)();
constexpr const char* entry_symbol = "thresher_cuda";
constexpr const char* library_name = "thresher_cuda.so";

}  // namespace thresher::device::cuda
