// The CUDA device. It lives in a library of its own, thresher_cuda.so beside the program, which is loaded on the first
// call below: programs start, and run on the CPU, where no CUDA library is installed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
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
  // Steps that no algorithm is known for measure several when they are first called. Else they take one that is good
  // in general, and `tune` measures.
  bool tune = false;
};

// What was measured for one kind of step.
struct Tuned {
  std::string step;          // as `rehearse` named it
  double seconds = 0;        // of the algorithm that was chosen
  double first_seconds = 0;  // of the one that would have been taken unmeasured
  double flop = 0;
  std::string note;  // where something that might be faster could not be taken: what, and why
};

struct Tuning {
  std::string algorithms;  // the new ones, as text for `take_algorithms`
  std::vector<Tuned> steps;
  double seconds = 0;  // that measuring took
};

// What the driver shows: CUDA_VISIBLE_DEVICES decides. Throws base::Error (unavailable) where this program was built
// without CUDA, the library is not beside it or cannot be loaded, and where there is no driver, an old one or no GPU.
std::vector<Gpu> gpus();

// Throws as `gpus` does, and base::Error: os where the GPU's memory does not suffice to begin; data or config where the
// algorithms are damaged or another machine's.
std::unique_ptr<Device> make_cuda_device(const CudaOptions& options);

// For devices of `make_cuda_device`:
//
// The algorithms that are known until now, given or chosen, as text for CudaOptions: a program of the same machine
// computes the same bits with them. See src/device/cuda/algorithms.h.
std::string algorithms_of(Device& cuda_device);
// Does `body`, steps whose results nobody needs; one line for each kind of step whose algorithm has to be chosen.
std::string rehearse(Device& cuda_device, const std::function<void()>& body);
// Measures algorithms for these lines, of any device of the same machine, and takes the best. The GPU's memory for it
// is given back.
Tuning tune(Device& cuda_device, std::string_view steps);
// The most bytes that this process had allocated on the device's GPU at any time.
std::int64_t allocated_peak_of(Device& cuda_device);
// Takes over what is not known yet. Throws base::Error (data, config) as `make_cuda_device` does.
void take_algorithms(Device& cuda_device, std::string_view algorithms);

}  // namespace thresher::device
