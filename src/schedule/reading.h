// In which order a replica's reader asks for leases and reads their shards. Pure: no messages, no threads.
#pragma once

#include <cstdint>

#include "thresher/schedule/queue.h"

namespace thresher::schedule {

// The next lease is asked for before the last shard of this one is read, so that it is there in time. When shards run
// out nothing is taken before it is needed, so that all replicas finish together.
class ReadingOrder {
 public:
  enum class Do : std::uint8_t {
    request,       // ask for a lease
    take,          // wait for it, and tell it to `leased`
    read,          // read shard `shard` and hand it to the scorer
    await_hunger,  // until the scorer has used up what it was handed
    end            // there are no more shards
  };
  struct Step {
    Do what = Do::end;
    std::int64_t shard = -1;
  };

  // What to do now that the step before is done.
  Step next();
  // Throws base::Error (internal) when no lease was awaited.
  void leased(const Lease& lease);
  // Nothing is read any more; a lease that was asked for is still taken, so that nothing stays on its way.
  void stop() { stopped_ = true; }

 private:
  bool requested_ = false, awaits_ = false, sated_ = true, ended_ = false, scarce_ = false, stopped_ = false;
  std::int64_t shard_ = 0, end_ = 0;  // left of the lease
};

}  // namespace thresher::schedule
