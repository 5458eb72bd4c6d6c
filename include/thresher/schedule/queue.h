// Which shards are dealt to whom. A pure state machine: no ranks, no clock, no messages.
#pragma once

#include <cstdint>
#include <vector>

namespace thresher::schedule {

// A run of consecutive shards; none when count is 0.
struct Lease {
  std::int64_t first = 0;
  std::int64_t count = 0;
  bool scarce = false;  // few are left: whoever reads ahead keeps others idle
};

// Runs are long at first and one shard at the end (guided self-scheduling, Polychronopoulos and Kuck 1987), so that
// workers finish together however much their speeds differ.
class LeaseQueue {
 public:
  // `done[s]`: shard s needs no work.
  LeaseQueue(const std::vector<bool>& done, int workers);

  Lease lease();
  // Marks a leased shard as committed. Throws base::Error (internal) if it was not leased or is done already.
  void complete(std::int64_t shard);

  std::int64_t shards() const { return static_cast<std::int64_t>(state_.size()); }
  std::int64_t left() const { return left_; }  // not committed
  bool finished() const { return left_ == 0; }

 private:
  enum class State : char { open, leased, done };
  std::vector<State> state_;
  int workers_;
  std::int64_t next_ = 0;  // every shard before it is leased or done
  std::int64_t unleased_ = 0;
  std::int64_t left_ = 0;
};

}  // namespace thresher::schedule
