// A stream of device tensors from one rank's device to another's, beside the steps of both.
#pragma once

#include "thresher/tensor/tensor.h"

namespace thresher::comm {

// Both take dense tensors, of one shape on both sides, and return when everything is queued. Failures are told as
// DeviceSums tells them.
class DeviceOutlet {
 public:
  virtual ~DeviceOutlet() = default;
  // Pairwise. `x` as the steps before leave it; the steps after may change it.
  virtual void send(const tensor::Tensor& x) = 0;
};

class DeviceInlet {
 public:
  virtual ~DeviceInlet() = default;
  // Pairwise. The steps after find the next tensor in `x`.
  virtual void receive(const tensor::Tensor& x) = 0;
};

}  // namespace thresher::comm
