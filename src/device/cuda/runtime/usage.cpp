#include "device/cuda/runtime/usage.h"

#include <utility>

namespace thresher::device::cuda {

void Usage::mark() {
  if (free_.empty()) free_.push_back(make_event(true));
  check(cudaEventRecord(free_.back().raw(), stream_), "marking time");
  marks_.push_back(std::move(free_.back()));
  free_.pop_back();
  working_ = !working_;
}

void Usage::work() {
  if (working_) return;
  if (marks_.empty()) first_is_beginning_ = true;
  mark();
}

void Usage::rest() {
  if (working_) mark();
}

void Usage::collect() {
  while (marks_.size() > 1 && reached(marks_[1].raw(), "reading a time")) {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, marks_[0].raw(), marks_[1].raw()), "reading a time");
    (first_is_beginning_ ? use_.busy : use_.idle) += static_cast<double>(milliseconds) * 1e-3;
    first_is_beginning_ = !first_is_beginning_;
    free_.push_back(std::move(marks_.front()));
    marks_.pop_front();
  }
}

void Usage::reset() {
  while (!marks_.empty()) {
    free_.push_back(std::move(marks_.front()));
    marks_.pop_front();
  }
  working_ = false;
  use_ = {};
}

}  // namespace thresher::device::cuda
