#include "device/cuda/runtime/timeline.h"

namespace thresher::device::cuda {

std::size_t Timeline::begin(cudaStream_t stream) {
  if (used_ == stretches_.size()) stretches_.push_back({make_event(true), make_event(true), nullptr});
  check(cudaEventRecord(stretches_[used_].begin.raw(), stream), "marking time");
  return used_++;
}

void Timeline::end(std::size_t stretch, cudaStream_t stream, double& into) {
  check(cudaEventRecord(stretches_[stretch].end.raw(), stream), "marking time");
  stretches_[stretch].into = &into;
}

void Timeline::collect() {
  for (std::size_t i = 0; i < used_; ++i) {
    Stretch& stretch = stretches_[i];
    if (!stretch.into) continue;
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, stretch.begin.raw(), stretch.end.raw()), "reading a time");
    *stretch.into += static_cast<double>(milliseconds) * 1e-3;
    stretch.into = nullptr;
  }
  used_ = 0;
}

}  // namespace thresher::device::cuda
