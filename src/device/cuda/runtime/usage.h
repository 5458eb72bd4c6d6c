// How long a stream had work, and how long between two pieces of work it had none, by the GPU's own clock.
#pragma once

#include <deque>
#include <vector>

#include "device/cuda/runtime/status.h"
#include "thresher/device/device.h"

namespace thresher::device::cuda {

class Usage {
 public:
  explicit Usage(cudaStream_t stream) : stream_(stream) {}

  // Work follows: until `rest` the stream counts as busy.
  void work();
  // Nothing follows for now: until `work`, what the stream has left to do counts as busy and then it is idle.
  void rest();
  // What the GPU has come past. Waits for nothing.
  void collect();
  // Counts anew, from the next `work` on.
  void reset();
  const DeviceUse& use() const { return use_; }

 private:
  void mark();

  cudaStream_t stream_;
  std::deque<EventHandle> marks_;  // by turns the beginnings and the ends of work; the first is counted up to
  std::vector<EventHandle> free_;
  bool working_ = false;  // the last mark is a beginning
  bool first_is_beginning_ = true;
  DeviceUse use_;
};

}  // namespace thresher::device::cuda
