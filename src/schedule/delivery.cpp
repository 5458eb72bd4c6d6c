#include "schedule/delivery.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "thresher/base/bounded_queue.h"

namespace thresher::schedule {
namespace {

using base::Doing;
using comm::Channel;

PartHeader header_of(const store::Rows& rows, double seconds) {
  PartHeader header{.shard = rows.shard, .documents = rows.count(), .seconds = seconds};
  for (const std::int64_t tokens : rows.tokens) header.tokens += tokens;
  for (const store::Status status : rows.status) {
    header.failures += status == store::Status::rejected || status == store::Status::nan;
    header.nan += status == store::Status::nan;
  }
  return header;
}

// Posts parts to the coordinator, a few ahead of its commits.
class Postman : public Delivery {
 public:
  Postman(const WorkerParts& parts, base::Metrics& metrics) : parts_(parts), metrics_(metrics) {}

  void deliver(const store::Rows& rows, double seconds) override {
    const base::Timer timer(metrics_, "communicate");
    while (outbox_.full()) take_credit();
    outbox_.post(finish_part(rows, parts_.columns, parts_.job, seconds));
  }

  void finish() override {
    const base::Timer timer(metrics_, "wait commit");
    while (!outbox_.empty()) take_credit();
  }

 private:
  void take_credit() {
    const base::During during(parts_.activities.scorer, Doing::waiting, "waiting for rank 0 to commit");
    parts_.mailbox.take(Channel::credit);
    outbox_.committed();
  }

  const WorkerParts& parts_;
  base::Metrics& metrics_;
  Outbox outbox_{parts_.mailbox};
};

// Commits on a thread of its own and tells the coordinator.
class Committer : public Delivery {
 public:
  Committer(const WorkerParts& parts, base::Metrics& metrics)
      : parts_(parts), metrics_(metrics), thread_([this] { run(); }) {}

  ~Committer() override {
    queue_.close();
    if (thread_.joinable()) thread_.join();
  }

  void deliver(const store::Rows& rows, double seconds) override {
    const base::Timer timer(metrics_, "communicate");
    const base::During during(parts_.activities.scorer, Doing::waiting, "waiting for the disk");
    if (!queue_.push(finish_part(rows, parts_.columns, parts_.job, seconds)) && error_) std::rethrow_exception(error_);
  }

  void finish() override {
    const base::Timer timer(metrics_, "wait commit");
    const base::During during(parts_.activities.scorer, Doing::waiting, "waiting for the disk");
    queue_.close();
    thread_.join();
    if (error_) std::rethrow_exception(error_);
    metrics_.add("write", write_seconds_);
  }

 private:
  void run() noexcept {
    try {
      while (std::optional<FinishedPart> first = queue_.pop()) {
        std::vector<FinishedPart> items;
        items.push_back(std::move(*first));
        while (std::optional<FinishedPart> more = queue_.try_pop()) items.push_back(std::move(*more));
        commit(items);
      }
    } catch (...) {
      error_ = std::current_exception();
      queue_.close();
    }
  }

  // One round of syncs for all that wait.
  void commit(const std::vector<FinishedPart>& items) {
    const base::During during(parts_.activities.committer, Doing::working, "committing parts");
    const base::Stopwatch watch;
    commit_own(*parts_.own_parts, parts_.mailbox, items);
    write_seconds_ += watch.seconds();
  }

  const WorkerParts& parts_;
  base::Metrics& metrics_;
  base::BoundedQueue<FinishedPart> queue_{parts_in_flight};
  double write_seconds_ = 0;
  std::exception_ptr error_;  // set before the queue is closed
  std::thread thread_;
};

}  // namespace

FinishedPart finish_part(const store::Rows& rows, const store::Columns& columns, const std::string& job,
                         double seconds) {
  return {header_of(rows, seconds), store::build_part(rows, columns, job)};
}

void Outbox::post(const FinishedPart& part) {
  mailbox_.post(coordinator, Channel::coordinator, Kind::part, pack_message(part.header, part.bytes));
  ++in_flight_;
}

void commit_own(store::PartWriter& writer, comm::Mailbox& mailbox, std::span<const FinishedPart> parts) {
  std::vector<store::PartWriter::Part> batch;
  for (const FinishedPart& part : parts) batch.emplace_back(part.header.shard, part.bytes);
  const base::Stopwatch watch;
  writer.commit(batch);
  const double seconds = watch.seconds();
  for (const FinishedPart& part : parts) {
    PartHeader header = part.header;
    header.commit_seconds = seconds;
    mailbox.post(coordinator, Channel::coordinator, Kind::settled, pack_message(header));
  }
}

std::unique_ptr<Delivery> make_delivery(const WorkerParts& parts, base::Metrics& metrics) {
  if (parts.own_parts) return std::make_unique<Committer>(parts, metrics);
  return std::make_unique<Postman>(parts, metrics);
}

}  // namespace thresher::schedule
