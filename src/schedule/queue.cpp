#include "thresher/schedule/queue.h"

#include <fmt/format.h>

#include <algorithm>

#include "thresher/base/check.h"

namespace thresher::schedule {
namespace {

// The longest run: what a worker holds back from the others when it dies or stalls.
constexpr std::int64_t longest_run = 16;
// Shards left for each worker when reading ahead has to end.
constexpr std::int64_t scarce_share = 8;

}  // namespace

LeaseQueue::LeaseQueue(const std::vector<bool>& done, int workers) : workers_(workers) {
  for (bool shard_done : done) state_.push_back(shard_done ? State::done : State::open);
  left_ = unleased_ = std::count(state_.begin(), state_.end(), State::open);
}

Lease LeaseQueue::lease() {
  while (next_ < shards() && state_[next_] != State::open) ++next_;
  const std::int64_t run = std::clamp<std::int64_t>(unleased_ / (4 * workers_), 1, longest_run);
  Lease lease{next_, 0};
  while (lease.count < run && next_ < shards() && state_[next_] == State::open) {
    state_[next_++] = State::leased;
    ++lease.count;
    --unleased_;
  }
  lease.scarce = unleased_ < scarce_share * workers_;
  return lease;
}

void LeaseQueue::complete(std::int64_t shard) {
  if (shard < 0 || shard >= shards() || state_[shard] != State::leased)
    base::fail(base::Exit::internal, fmt::format("shard {} of {} completed without a lease", shard, shards()));
  state_[shard] = State::done;
  --left_;
}

}  // namespace thresher::schedule
