#include "device/cuda/runtime/timeline.h"

namespace thresher::device::cuda {

std::size_t Timeline::begin(cudaStream_t stream) {
  if (free_.empty()) {
    free_.push_back(stretches_.size());
    stretches_.push_back({make_event(true), make_event(true), nullptr});
  }
  const std::size_t stretch = free_.back();
  check(cudaEventRecord(stretches_[stretch].begin.raw(), stream), "marking time");
  free_.pop_back();
  return stretch;
}

void Timeline::end(std::size_t stretch, cudaStream_t stream, double& into) {
  check(cudaEventRecord(stretches_[stretch].end.raw(), stream), "marking time");
  stretches_[stretch].into = &into;
  ended_.push_back(stretch);
}

void Timeline::collect() {
  while (!ended_.empty()) {
    const std::size_t at = ended_.front();
    const Stretch& stretch = stretches_[at];
    if (!reached(stretch.end.raw(), "reading a time")) return;
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, stretch.begin.raw(), stretch.end.raw()), "reading a time");
    *stretch.into += static_cast<double>(milliseconds) * 1e-3;
    free_.push_back(at);
    ended_.pop_front();
  }
}

}  // namespace thresher::device::cuda
