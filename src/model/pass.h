// What every step of one batch's way through a part of the model shares.
#pragma once

#include <array>
#include <cstdint>

#include "thresher/comm/device_sums.h"
#include "thresher/device/device.h"

namespace thresher::model {

struct Pass {
  device::Device& device;
  tensor::Arena& arena;                    // scratch: taken and given back within a step
  comm::DeviceSums& sums;                  // over the ranks that hold the shards of this part
  tensor::DType dtype;                     // of activations between products
  bool quantised = false;                  // those that products in int8 read are, where norm or gate writes them
  std::array<std::int64_t, 2> whole = {};  // cuts of the residual stream's width, of one piece
  std::int64_t tokens = 0;
  device::Sequences sequences;
  device::RopeOptions rope;  // without a gain
  float norm_epsilon = 0;
};

}  // namespace thresher::model
