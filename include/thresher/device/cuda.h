// The CUDA device. It lives in a library of its own, thresher_cuda.so beside the program, which is loaded on the first
// call below: programs start, and run on the CPU, where no CUDA library is installed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "thresher/device/device.h"

namespace thresher::device {

// A GPU that this process may use, in the driver's order.
struct Gpu {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  std::string uuid;  // "GPU-01234567-89ab-cdef-0123-456789abcdef"
  int major = 0;     // compute capability
  int minor = 0;
  int processors = 0;       // streaming multiprocessors
  int numa_node = -1;       // of the host memory that is nearest; -1: not known
  std::int64_t memory = 0;  // bytes
};

struct CudaOptions {
  int gpu = 0;      // place in `gpus()`
  int threads = 1;  // of the host, for what is computed there: the device itself uses none
  // Algorithms chosen before, by this or another rank (see `algorithms_of`): what is not among them is chosen anew.
  std::string algorithms;
};

// What the driver shows: CUDA_VISIBLE_DEVICES decides. Throws base::Error (unavailable) where this program was built
// without CUDA, the library is not beside it or cannot be loaded, and where there is no driver, an old one or no GPU.
std::vector<Gpu> gpus();

// Throws as `gpus` does, and base::Error (os) where the GPU's memory does not suffice to begin.
std::unique_ptr<Device> make_cuda_device(const CudaOptions& options);

// The algorithms that a device of `make_cuda_device` has chosen until now, as text for CudaOptions.
std::string algorithms_of(Device& cuda_device);

}  // namespace thresher::device
