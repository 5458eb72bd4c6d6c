// Work shared among OpenMP threads of the calling thread.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

namespace thresher::device::cpu {

// Keeps the first exception of a parallel region, which must not leave the region by itself.
class FirstError {
 public:
  template <class Body>
  void guard(const Body& body) noexcept {
    try {
      body();
    } catch (...) {
      if (!taken_.test_and_set()) error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic_flag taken_;
  std::exception_ptr error_;
};

// Below this many nanoseconds of estimated work waking the other threads costs more than it gains.
constexpr double parallel_ns = 8000;

// body(first, last) on blocks of [0, rows), one block per thread. `ns` is the estimated time of one row.
template <class Body>
void parallel_rows(int threads, std::int64_t rows, double ns, const Body& body) {
  if (rows <= 0) return;
  if (threads == 1 || static_cast<double>(rows) * ns < parallel_ns) return body(std::int64_t{0}, rows);
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t count = omp_get_num_threads(), index = omp_get_thread_num();
    const std::int64_t first = rows * index / count, last = rows * (index + 1) / count;
    if (first < last) body(first, last);
  }
}

// body(task, thread) for tasks 0, 1, ... in rising order, each taken by the next free thread.
template <class Body>
void parallel_tasks(int threads, std::int64_t tasks, double ns, const Body& body) {
  if (threads == 1 || tasks <= 1 || static_cast<double>(tasks) * ns < parallel_ns) {
    for (std::int64_t i = 0; i < tasks; ++i) body(i, 0);
    return;
  }
  std::atomic<std::int64_t> next{0};
  FirstError error;
#pragma omp parallel num_threads(static_cast <int>(std::min <std::int64_t>(threads, tasks)))
  error.guard([&] {
    const int thread = omp_get_thread_num();
    for (std::int64_t i = next++; i < tasks; i = next++) body(i, thread);
  });
  error.rethrow();
}

}  // namespace thresher::device::cpu
