// Where a worker's finished shards go: to rank zero, which commits them, or into the run directory at once.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "schedule/protocol.h"
#include "thresher/base/metrics.h"
#include "thresher/schedule/worker.h"
#include "thresher/store/part_writer.h"
#include "thresher/store/result.h"

namespace thresher::schedule {

// A shard's rows as they leave the worker.
struct FinishedPart {
  PartHeader header;
  std::string bytes;
};
// `seconds`: what the shard took.
FinishedPart finish_part(const store::Rows& rows, const store::Columns& columns, const std::string& job,
                         double seconds);

// Parts on their way to rank zero, a few ahead of its commits. Never waits.
class Outbox {
 public:
  explicit Outbox(comm::Mailbox& mailbox) : mailbox_(mailbox) {}

  bool full() const { return in_flight_ >= parts_in_flight; }
  bool empty() const { return in_flight_ == 0; }
  void post(const FinishedPart& part);
  // The coordinator said that one is durable.
  void committed() { --in_flight_; }

 private:
  comm::Mailbox& mailbox_;
  int in_flight_ = 0;
};

// Commits parts in one round of syncs and tells the coordinator.
void commit_own(store::PartWriter& writer, comm::Mailbox& mailbox, std::span<const FinishedPart> parts);

class Delivery {
 public:
  virtual ~Delivery() = default;
  // Waits while too many parts are on their way.
  virtual void deliver(const store::Rows& rows, double seconds) = 0;
  // Waits until all are durable.
  virtual void finish() = 0;
};

// To rank zero where parts.own_parts is null. Both arguments must outlive it.
std::unique_ptr<Delivery> make_delivery(const WorkerParts& parts, base::Metrics& metrics);

}  // namespace thresher::schedule
