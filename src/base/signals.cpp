#include "thresher/base/signals.h"

#include <signal.h>
#include <string.h>

#include <atomic>
#include <cstdint>
#include <ctime>

namespace thresher::base {
namespace {

// Some senders reach a process twice: timeout(1) signals its child, then the group that the child is in.
constexpr std::int64_t one_request = 500'000'000;  // ns

std::atomic<int> stops{0}, last{0}, queries{0};
std::atomic<std::int64_t> last_time{0};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);

// Everything called here is safe in a handler.
void count_stop(int number) {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  const std::int64_t now = std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  const std::int64_t before = last_time.exchange(now);
  if (before != 0 && now - before < one_request) return;
  last = number;
  if (++stops < 3) return;
  signal(number, SIG_DFL);
  raise(number);
}

void count_query(int) {
  ++queries;
}

}  // namespace

void catch_signals() {
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  action.sa_handler = count_stop;
  for (const int number : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&action.sa_mask, number);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1}) sigaction(number, &action, nullptr);
  action.sa_handler = count_query;
  sigaction(SIGUSR2, &action, nullptr);
}

Signals signals_so_far() {
  return {stops, last, queries};
}

std::string signal_name(int number) {
  const char* const name = sigabbrev_np(number);
  return name == nullptr ? "signal " + std::to_string(number) : "SIG" + std::string(name);
}

}  // namespace thresher::base
