#include "thresher/comm/pipe.h"

#include "comm/waiting.h"
#include "thresher/base/clock.h"

namespace thresher::comm {
namespace {

// Until look() is true. Returns the seconds it took.
template <class Look>
double wait_without_lock(Look look) {
  const base::Stopwatch stopwatch;
  Patience patience;
  for (;;) {
    throw_if_cancelled();
    if (look()) return stopwatch.seconds();
    patience.pause();
  }
}

}  // namespace

std::span<std::byte> Outlet::buffer() {
  std::optional<std::span<std::byte>> free;
  waited_ += wait_without_lock([&] { return (free = poll()).has_value(); });
  return *free;
}

void Outlet::flush() {
  waited_ += wait_without_lock([&] { return empty(); });
}

std::span<const std::byte> Inlet::receive() {
  std::optional<std::span<const std::byte>> message;
  waited_ += wait_without_lock([&] { return (message = poll()).has_value(); });
  return *message;
}

}  // namespace thresher::comm
