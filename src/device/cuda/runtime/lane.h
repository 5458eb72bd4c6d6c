// A stream beside the device's own.
#pragma once

#include <memory>

#include "device/cuda/runtime/status.h"
#include "thresher/device/device.h"

namespace thresher::device::cuda {

std::unique_ptr<Lane> make_lane(int gpu, cudaStream_t steps);

}  // namespace thresher::device::cuda
