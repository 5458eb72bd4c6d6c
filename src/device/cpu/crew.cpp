#include "device/cpu/crew.h"

#include <fmt/format.h>
#include <immintrin.h>
#include <omp.h>

#include <utility>

#include "thresher/base/check.h"

namespace thresher::device::cpu {
namespace {

// About 30 microseconds: the gap between two steps of a batch is shorter, the gap between two batches is not.
constexpr int spins_before_sleep = 1000;
// A finishing task is waited for by spinning; past this its thread has lost its core, and ours may be what it needs.
constexpr int spins_before_yield = 2000;

constexpr std::uint64_t tasks_mask = 0xffffffffu;

}  // namespace

Crew::Crew(int threads, const base::Cores& cores) {
  if (threads < 1) base::fail(base::Exit::usage, fmt::format("a CPU device needs at least 1 thread, not {}", threads));
  for (int thread = 1; thread < threads; ++thread) {
    const auto place = static_cast<std::size_t>(thread);
    workers_.emplace_back([this, thread, core = place < cores.size() ? cores[place] : base::Core()] {
      const base::BoundThread bound(core);
      work(thread);
    });
  }
}

Crew::~Crew() {
  ending_ = true;
  ++generation_;
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Crew::dispatch(const Job& job, std::int64_t count) {
  if (count <= 0) return;
  job_ = job;
  count_ = count;
  done_.store(0, std::memory_order_relaxed);
  const std::uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  open_.store(std::uint64_t{generation} << 32 | static_cast<std::uint64_t>(count), std::memory_order_release);
  generation_.store(generation);
  if (asleep_.load() > 0) generation_.notify_all();

  while (take_task(0)) {
  }
  for (int spin = 0; done_.load(std::memory_order_acquire) < count; ++spin) {
    if (spin < spins_before_yield)
      _mm_pause();
    else
      std::this_thread::yield();
  }
  if (failed_.test()) {
    failed_.clear();
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
}

// Takes and does one task; false when none is left.
bool Crew::take_task(int thread) {
  std::uint64_t open = open_.load(std::memory_order_acquire);
  do {
    if ((open & tasks_mask) == 0) return false;
  } while (!open_.compare_exchange_weak(open, open - 1, std::memory_order_acq_rel, std::memory_order_acquire));
  const auto left = static_cast<std::int64_t>(open & tasks_mask);
  try {
    job_.call(job_.body, count_ - left, thread);
  } catch (...) {
    if (!failed_.test_and_set()) error_ = std::current_exception();
  }
  done_.fetch_add(1, std::memory_order_release);
  return true;
}

void Crew::work(int thread) {
  omp_set_num_threads(1);  // for oneDNN, which asks OpenMP how many threads it may use
  while (!ending_) {
    const std::uint32_t seen = generation_.load();
    while (take_task(thread)) {
    }
    wait_for_work(seen);
  }
}

void Crew::wait_for_work(std::uint32_t seen) {
  for (int spin = 0; spin < spins_before_sleep; ++spin) {
    if (generation_.load(std::memory_order_relaxed) != seen) return;
    _mm_pause();
  }
  ++asleep_;
  generation_.wait(seen);
  --asleep_;
}

}  // namespace thresher::device::cpu
