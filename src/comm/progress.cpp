#include "comm/progress.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "comm/waiting.h"

namespace thresher::comm {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr microseconds shortest_nap{50};
constexpr microseconds longest_nap{1000};
// While messages get through: no naps, and no yielding either, which may give the core to a computing thread for a
// whole time slice.
constexpr microseconds busy{20};

class Lookout {
 public:
  void add(Moving& moving) {
    std::lock_guard changing(changing_);
    {
      std::lock_guard lock(mpi_lock());
      watched_.push_back(&moving);
    }
    if (!thread_.joinable()) thread_ = std::jthread([this](std::stop_token stop) { look(stop); });
  }

  void remove(Moving& moving) {
    std::lock_guard changing(changing_);
    bool last = false;
    {
      std::lock_guard lock(mpi_lock());
      std::erase(watched_, &moving);
      last = watched_.empty();
    }
    if (last) thread_ = {};  // stops and joins
  }

 private:
  void look(const std::stop_token& stop) {
    prctl(PR_SET_TIMERSLACK, 1000);  // naps of this thread end within a microsecond, not 50
    auto moved = steady_clock::now();
    microseconds nap = shortest_nap;
    while (!stop.stop_requested()) {
      bool moving = false;
      {
        std::lock_guard lock(mpi_lock());
        for (Moving* const watched : watched_) moving = watched->advance() || moving;
      }
      const auto now = steady_clock::now();
      if (moving) {
        moved = now;
        nap = shortest_nap;
      }
      if (now - moved < busy) continue;
      std::this_thread::sleep_for(nap);
      nap = std::min(nap * 5 / 4, longest_nap);
    }
  }

  std::mutex changing_;  // of whether there is a thread
  std::vector<Moving*> watched_;
  std::jthread thread_;
};

// Never destroyed: pipes may outlive the end of main.
Lookout& lookout() {
  static Lookout* const lookout = new Lookout;
  return *lookout;
}

}  // namespace

void watch(Moving& moving) {
  lookout().add(moving);
}

void unwatch(Moving& moving) {
  lookout().remove(moving);
}

}  // namespace thresher::comm
