#include "device/cuda_runtime/executor.h"

#include <chrono>
#include <stdexcept>
#include <thread>

#include "device/cuda_runtime/fake.h"

namespace thresher::device::fake {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How late work is that other processes wait for.
constexpr milliseconds lateness{2};

steady_clock::time_point& last_submission() {
  static steady_clock::time_point time;
  return time;
}

// As far as other processes wait for it.
void run_awaited(CUstream_st& stream) {
  std::int64_t place = stream.done;
  for (std::size_t i = 0; i < stream.work.size(); ++i)
    if (stream.work[i].awaited) place = stream.done + static_cast<std::int64_t>(i) + 1;
  while (stream.done < place)
    if (!advance(stream)) return;
}

void run_for_others() {
  for (;;) {
    std::this_thread::sleep_for(lateness / 2);
    const std::lock_guard lock(gate());
    if (steady_clock::now() - last_submission() < lateness) continue;
    for (CUstream_st* stream : streams()) run_awaited(*stream);
  }
}

}  // namespace

bool advance(CUstream_st& stream) {
  if (stream.work.empty()) throw std::logic_error("a stream waits for itself");
  Work& next = stream.work.front();
  if (next.after && next.after->done < next.place) return advance(*next.after);
  const auto drop = [&] {
    stream.work.pop_front();
    ++stream.done;
  };
  try {
    if (failure() == cudaSuccess && next.run && !next.run()) return false;
  } catch (...) {
    drop();
    throw;
  }
  drop();
  return true;
}

// Nothing of this is ever destroyed: the thread lives as long as the process.
std::recursive_mutex& gate() {
  static auto* const mutex = new std::recursive_mutex;
  return *mutex;
}

std::vector<CUstream_st*>& streams() {
  static auto* const list = new std::vector<CUstream_st*>;
  return *list;
}

cudaError_t& failure() {
  static cudaError_t code = cudaSuccess;
  return code;
}

void put(CUstream_st& stream, Work work) {
  {
    const std::lock_guard lock(gate());
    static bool others_wait = false;
    if (work.awaited && !others_wait) std::thread(run_for_others).detach();
    others_wait = others_wait || work.awaited;
    last_submission() = steady_clock::now();
    stream.work.push_back(std::move(work));
    ++stream.given;
  }
  const bool early = settings().others_early && &stream != streams().front();
  if (!settings().late || early) run_until(stream, stream.given);
}

void run_until(CUstream_st& stream, std::int64_t place) {
  std::unique_lock lock(gate());
  while (stream.done < place) {
    if (advance(stream)) continue;
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    lock.lock();
  }
}

void run_all() {
  const std::vector<CUstream_st*> all = [] {
    const std::lock_guard lock(gate());
    return streams();
  }();
  for (CUstream_st* stream : all) run_until(*stream, stream->given);
}

}  // namespace thresher::device::fake
