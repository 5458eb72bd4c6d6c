// Rank zero's half of the scheduler: deals shards, commits parts, tells everyone when it ends.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/comm/mailbox.h"
#include "thresher/schedule/queue.h"

namespace thresher::schedule {

// Sums of the parts committed so far, for the progress line.
struct Advance {
  std::int64_t shards = 0, documents = 0, tokens = 0, failures = 0;
};

// A shard and the bytes of its part.
using CommittedPart = std::pair<std::int64_t, std::string_view>;

struct CoordinatorHooks {
  // Makes parts durable; an error ends the job on all ranks.
  std::function<void(std::span<const CommittedPart>)> commit;
  // Called after each commit and at least every few milliseconds.
  std::function<void(const Advance&)> advanced;
};

// Runs on a thread of its own. Never holds more than the workers' credits: each worker waits until its parts are
// committed before it posts more.
class Coordinator {
 public:
  Coordinator(comm::Mailbox& mailbox, int ranks, LeaseQueue& queue, CoordinatorHooks hooks);

  // Returns when every worker has finished. Throws the base::Error that ended the job, after all workers heard of it.
  void run();

  double commit_seconds() const { return commit_seconds_; }

 private:
  void handle(comm::Message message);
  void commit_waiting();
  void end_with(const base::Error& error);

  comm::Mailbox& mailbox_;
  const int ranks_;
  LeaseQueue& queue_;
  const CoordinatorHooks hooks_;
  Advance advance_;
  std::vector<comm::Message> waiting_;  // parts that are committed together
  int finished_ = 0;
  double commit_seconds_ = 0;
  std::optional<base::Error> error_;
};

}  // namespace thresher::schedule
