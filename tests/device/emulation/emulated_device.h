// A Device of the CUDA kernels as the emulation runs them: what the device contract asks for, without a GPU. Matrix
// products, which cuBLASLt makes on a GPU, are plain loops here.
#pragma once

#include <memory>

#include "thresher/device/device.h"

namespace thresher::device::emulation {

std::unique_ptr<Device> make_emulated_device();

}  // namespace thresher::device::emulation
