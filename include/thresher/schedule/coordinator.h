// Rank zero's half of the scheduler: deals shards to the replicas and commits their parts.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thresher/base/activity.h"
#include "thresher/comm/mailbox.h"
#include "thresher/schedule/queue.h"
#include "thresher/schedule/stop_rule.h"

namespace thresher::schedule {

struct PartHeader;

// Sums of the parts committed so far, for the progress line.
struct Advance {
  std::int64_t shards = 0, documents = 0, tokens = 0, failures = 0, nan = 0;
};

// Parts that rank zero holds and commits in one round; those that are offered meanwhile stay where they were made.
constexpr int parts_at_once = 32;

// A shard and the bytes of its part.
using CommittedPart = std::pair<std::int64_t, std::string_view>;

struct CoordinatorHooks {
  // Makes parts durable. Not called for parts that workers commit themselves.
  std::function<void(std::span<const CommittedPart>)> commit;
  // Called for every shard that is committed.
  std::function<void(std::int64_t shard)> committed;
  // Called after each commit and at least every few milliseconds.
  std::function<void(const Advance&)> advanced;
  // Whether the job is to stop early; empty: never. From `finish` on no leases are given. With `drop`, what has arrived
  // is committed and `drop` is called, which throws.
  std::function<StopLevel()> stop = {};
  std::function<void()> drop = {};
  // What a shard and a commit took, in seconds; 0 where nothing is known.
  std::function<void(double shard, double commit)> took = {};
};

// Runs on a thread of its own. Never holds more than parts_at_once parts, nor more than the workers' credits: each
// worker waits until its parts are committed before it posts more.
class Coordinator {
 public:
  Coordinator(comm::Mailbox& mailbox, int workers, LeaseQueue& queue, CoordinatorHooks hooks, base::Activity& activity);

  // Steps until every worker has finished, all work done or not. Throws what a hook throws, and comm::cancel()'s
  // reason.
  void run();
  // Answers what has arrived, and commits the parts among it in one round. Never waits. Returns whether there was any.
  bool step();
  bool finished() const { return finished_ == workers_; }

  double commit_seconds() const { return commit_seconds_; }

 private:
  void handle(comm::Message message);
  bool take_arrived();
  StopLevel stop_level() const { return hooks_.stop ? hooks_.stop() : StopLevel::none; }
  void commit_waiting();
  void settle(const PartHeader& header);

  comm::Mailbox& mailbox_;
  const int workers_;
  LeaseQueue& queue_;
  const CoordinatorHooks hooks_;
  base::Activity& activity_;
  Advance advance_;
  std::vector<comm::Message> waiting_;  // parts that are committed together
  int finished_ = 0;
  double commit_seconds_ = 0;
};

}  // namespace thresher::schedule
