// Weights on the device: a matrix with its bias, and a vector.
#pragma once

#include <memory>

#include "thresher/device/device.h"

namespace thresher::model {

// f32, 1 x width; empty where a model has none.
struct Vector {
  device::Buffer memory;
  tensor::Tensor view;
};

// y = x W^T + b.
struct Linear {
  std::unique_ptr<device::Weight> weight;
  Vector bias;

  // Into `out`, in its dtype.
  void apply(device::Device& device, const tensor::Tensor& x, const tensor::Tensor& out) const {
    device.matmul(x, *weight, bias.view, false, out);
  }
  // Onto the residual stream, f32.
  void add_to(device::Device& device, const tensor::Tensor& x, const tensor::Tensor& residual) const {
    device.matmul(x, *weight, bias.view, true, residual);
  }
};

}  // namespace thresher::model
