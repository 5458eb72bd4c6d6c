// Sums of device tensors over the ranks that hold the shards of one stage.
#pragma once

#include <memory>

#include "thresher/comm/comm.h"
#include "thresher/device/device.h"

namespace thresher::comm {

// All tensors are dense and in memory of the device that this was made for; sums take their place. Work may be queued
// behind the device's when a call returns: after cancel() or a failed exchange numbers may be anything, so
// throw_if_cancelled() stands between their coming to the host and their use. One thread at a time uses it.
class DeviceSums {
 public:
  virtual ~DeviceSums() = default;
  virtual int size() const = 0;

  // Collective. f32, of one shape on all ranks.
  virtual void add_up(const tensor::Tensor& x) = 0;
  // Collective. f32 or i32, of one shape on all ranks: every element's bits, where at most one rank has other than
  // zeros.
  virtual void unite(const tensor::Tensor& x) = 0;

  // Spent in sums, waiting for other ranks included: complete after the device's `finish`.
  virtual double seconds() const = 0;
};

// By way of the host, for every device: waits for it. Sums follow Comm::all_reduce's tree.
std::unique_ptr<DeviceSums> host_sums(Comm& ranks, device::Device& device);

}  // namespace thresher::comm
