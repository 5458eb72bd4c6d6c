// What every step of one batch's way through a part of the model shares.
#pragma once

#include <cstdint>

#include "thresher/comm/device_sums.h"
#include "thresher/device/device.h"

namespace thresher::model {

struct Pass {
  device::Device& device;
  tensor::Arena& arena;    // scratch: taken and given back within a step
  comm::DeviceSums& sums;  // over the ranks that hold the shards of this part
  tensor::DType dtype;     // of activations between products
  std::int64_t tokens = 0;
  device::Sequences sequences;
  device::RopeOptions rope;  // without a gain
  float norm_epsilon = 0;
};

}  // namespace thresher::model
