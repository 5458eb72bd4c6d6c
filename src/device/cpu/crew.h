// The device's threads, and how a step's work is shared among them.
//
// Not OpenMP's fork and join: that waits until every thread has come and gone, so on a busy machine each of a thousand
// short steps costs a time slice of whoever has the other core. Here a step ends when its tasks are done; a thread that
// does not run takes none, and nobody waits for it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "thresher/base/cores.h"

namespace thresher::device::cpu {

class Crew {
 public:
  // The calling thread and `threads` - 1 of its own, each on its core if there are `cores`. Used by one thread at a
  // time.
  explicit Crew(int threads, const base::Cores& cores = {});
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // body(task, thread) for tasks 0 .. count - 1, taken in rising order, thread < threads(). Returns when all are done;
  // rethrows the first exception of a task.
  template <class Body>
  void run(std::int64_t count, const Body& body) {
    const auto call = [](const void* what, std::int64_t task, int thread) {
      (*static_cast<const Body*>(what))(task, thread);
    };
    dispatch({call, &body}, count);
  }

 private:
  struct Job {
    void (*call)(const void* body, std::int64_t task, int thread) = nullptr;
    const void* body = nullptr;
  };

  void dispatch(const Job& job, std::int64_t count);
  void work(int thread);
  bool take_task(int thread);
  void wait_for_work(std::uint32_t seen);

  // Generation of the job (high half) and its tasks not taken yet (low half), in one word: a thread that was held up
  // can never take a task of a later job by an old count. A taken task keeps the job alive until it is counted in
  // done_.
  std::atomic<std::uint64_t> open_{0};
  std::atomic<std::int64_t> done_{0};
  Job job_;
  std::int64_t count_ = 0;
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<int> asleep_{0};
  std::atomic<bool> ending_{false};
  std::atomic_flag failed_;
  std::exception_ptr error_;
  std::vector<std::thread> workers_;
};

// Below this many nanoseconds of estimated work waking the other threads costs more than it gains.
constexpr double parallel_ns = 8000;

// body(first, last) on blocks that cover [0, rows). `ns` is the estimated time of one row.
template <class Body>
void parallel_rows(Crew& crew, std::int64_t rows, double ns, const Body& body) {
  if (rows <= 0) return;
  if (crew.threads() == 1 || static_cast<double>(rows) * ns < parallel_ns) return body(std::int64_t{0}, rows);
  const std::int64_t blocks = std::min<std::int64_t>(rows, 4 * crew.threads());
  crew.run(blocks, [&](std::int64_t block, int) { body(rows * block / blocks, rows * (block + 1) / blocks); });
}

// body(task, thread) for tasks 0, 1, ... in rising order, each taken by the next free thread.
template <class Body>
void parallel_tasks(Crew& crew, std::int64_t tasks, double ns, const Body& body) {
  if (crew.threads() > 1 && tasks > 1 && static_cast<double>(tasks) * ns >= parallel_ns) return crew.run(tasks, body);
  for (std::int64_t i = 0; i < tasks; ++i) body(i, 0);
}

}  // namespace thresher::device::cpu
