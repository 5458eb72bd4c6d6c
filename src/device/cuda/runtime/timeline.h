// Seconds that stretches of a stream's work take, measured by the GPU itself.
#pragma once

#include <deque>
#include <vector>

#include "device/cuda/runtime/status.h"

namespace thresher::device::cuda {

class Timeline {
 public:
  // Marks the beginning of a stretch on the stream; the first `collect` after its end was reached adds its seconds to
  // `into`.
  // Stretches may lie inside each other, and be open at a `collect`.
  std::size_t begin(cudaStream_t stream);
  void end(std::size_t stretch, cudaStream_t stream, double& into);
  // Of the stretches that the GPU has left behind, in the order of their ends. Waits for nothing.
  void collect();

 private:
  struct Stretch {
    EventHandle begin, end;
    double* into = nullptr;
  };
  std::vector<Stretch> stretches_;  // made once, used again
  std::vector<std::size_t> free_;
  std::deque<std::size_t> ended_;
};

}  // namespace thresher::device::cuda
