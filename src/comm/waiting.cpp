#include "comm/waiting.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "thresher/comm/ending.h"

namespace thresher::comm {
namespace {

// Never destroyed: threads may wait until the process is gone.
struct Ending {
  std::mutex mutex;
  std::optional<base::Error> reason, failure;  // of cancel(), of fail_here()
  std::atomic<bool> set{false};
  std::vector<std::function<void()>> followers;
};

Ending& ending() {
  static Ending* const ending = new Ending;
  return *ending;
}

}  // namespace

void cancel(const base::Error& reason) {
  std::vector<std::function<void()>> followers;
  {
    std::lock_guard lock(ending().mutex);
    if (ending().reason) return;
    ending().reason = reason;
    ending().set = true;
    followers.swap(ending().followers);
  }
  for (const auto& follower : followers) follower();
}

void when_cancelled(std::function<void()> body) {
  {
    std::lock_guard lock(ending().mutex);
    if (!ending().reason) return ending().followers.push_back(std::move(body));
  }
  body();
}

void fail_here(const base::Error& error) {
  std::lock_guard lock(ending().mutex);
  if (!ending().failure) ending().failure = error;
  ending().set = true;
}

bool cancelled() {
  return ending().set;
}

void throw_if_cancelled() {
  if (!cancelled()) return;
  std::lock_guard lock(ending().mutex);
  throw base::Error(ending().reason ? *ending().reason : *ending().failure);
}

std::mutex& mpi_lock() {
  static std::mutex* const mutex = new std::mutex;
  return *mutex;
}

void Patience::pause() {
  using std::chrono::microseconds;
  const auto waited = std::chrono::steady_clock::now() - start_;
  if (waited < microseconds{200}) {
    sched_yield();
    return;
  }
  const auto nap = std::chrono::duration_cast<microseconds>(waited) / 16;
  std::this_thread::sleep_for(std::clamp(nap, microseconds{20}, microseconds{1000}));
}

}  // namespace thresher::comm
