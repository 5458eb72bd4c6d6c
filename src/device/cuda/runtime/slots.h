// Weights that live in pinned host memory, on their way to the GPU: two slots of device memory, filled by a stream of
// copies beside the stream of steps.
//
// A slot is filled when the steps that were queued before its `bring` are done (event `released`), and read when the
// copies are (event `arrived`). Both waits are the GPU's; the host waits for nothing.
#pragma once

#include <array>
#include <span>

#include "device/cuda/runtime/timeline.h"
#include "device/cuda/runtime/weight.h"

namespace thresher::device::cuda {

class Slots {
 public:
  Slots(int gpu, cudaStream_t steps, Timeline& timeline);
  ~Slots();
  Slots(const Slots&) = delete;

  // See Device. No step is under way.
  void make(std::int64_t bytes);
  void bring(std::span<Weight* const> weights, int slot);
  // Before a step that reads the weight is queued: the step will wait until it is there.
  void await(const CudaWeight& weight);
  double measure(double seconds);
  // Complete when the stream of steps has been waited for and the timeline collected.
  const BringTime& time() const { return time_; }

 private:
  struct Slot {
    Buffer memory;
    EventHandle released, arrived;
    std::int64_t visits = 0;
    bool awaited = true;  // by the stream of steps
  };

  int gpu_;
  cudaStream_t steps_;
  StreamHandle copies_;
  Timeline& timeline_;
  std::array<Slot, 2> slots_;
  BringTime time_;
};

}  // namespace thresher::device::cuda
