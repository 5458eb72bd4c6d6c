#include "schedule/reading.h"

#include "thresher/base/check.h"

namespace thresher::schedule {

ReadingOrder::Step ReadingOrder::next() {
  if (ended_) return {Do::end};
  if (stopped_) {
    awaits_ = requested_;
    return {requested_ ? Do::take : Do::end};
  }
  const bool last = shard_ + 1 == end_;
  if (shard_ < end_ && (!last || scarce_ || requested_)) {
    sated_ = false;
    return {Do::read, shard_++};
  }
  if (shard_ == end_ && scarce_ && !sated_) {
    sated_ = true;
    return {Do::await_hunger};
  }
  if (!requested_) {
    requested_ = true;
    return {Do::request};
  }
  awaits_ = true;
  return {Do::take};
}

void ReadingOrder::leased(const Lease& lease) {
  if (!awaits_) base::fail(base::Exit::internal, "a lease that nobody asked for");
  awaits_ = requested_ = false;
  shard_ = lease.first;
  end_ = lease.first + lease.count;
  scarce_ = lease.scarce;
  ended_ = lease.count == 0;
}

}  // namespace thresher::schedule
