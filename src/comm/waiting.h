// How this floor waits: in short looks, so that other threads get at MPI in between and cancel() ends it.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>

#include "thresher/comm/ending.h"

namespace thresher::comm {

// MPI_THREAD_SERIALIZED: this process's one lock around every MPI call. Never held while waiting.
std::mutex& mpi_lock();

bool cancelled();
// Until cancel() is called, if ever, all waits of this process throw `error`: for failures that nobody's wait finds.
void fail_here(const base::Error& error);
// `body` is called once after cancel(), by the thread that cancels: for waits that are nobody's on the host. It must
// not throw. Where cancel() was called before, at once.
void when_cancelled(std::function<void()> body);

// Pauses between looks at something that takes unknown time: yields for 200 us, then naps for a sixteenth of the time
// waited so far, so that naps prolong a wait by 6 % at most, but no less than 20 us and no more than 1 ms.
class Patience {
 public:
  void pause();
  // Something happened: start over.
  void reset() { start_ = std::chrono::steady_clock::now(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Until done(), called under the lock, is true.
template <class Done>
void wait(Done done) {
  Patience patience;
  for (;;) {
    throw_if_cancelled();
    {
      std::lock_guard lock(mpi_lock());
      if (done()) return;
    }
    patience.pause();
  }
}

}  // namespace thresher::comm
