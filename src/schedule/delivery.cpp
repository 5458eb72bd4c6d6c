#include "schedule/delivery.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "schedule/protocol.h"
#include "thresher/base/bounded_queue.h"

namespace thresher::schedule {
namespace {

using base::Doing;
using comm::Channel;

constexpr int coordinator = 0;      // the rank that deals
constexpr int parts_in_flight = 4;  // delivered and not durable: bounds memory, rank zero's too

PartHeader header_of(const store::Rows& rows) {
  PartHeader header{rows.shard, rows.count(), 0, 0};
  for (const std::int64_t tokens : rows.tokens) header.tokens += tokens;
  for (const store::Status status : rows.status)
    header.failures += status != store::Status::ok && status != store::Status::windowed;
  return header;
}

// Posts parts to the coordinator, a few ahead of its commits.
class Postman : public Delivery {
 public:
  Postman(const WorkerParts& parts, base::Metrics& metrics) : parts_(parts), metrics_(metrics) {}

  void deliver(const store::Rows& rows) override {
    const base::Timer timer(metrics_, "communicate");
    wait_until(parts_in_flight - 1);
    const std::string part = store::build_part(rows, parts_.columns, parts_.job);
    parts_.mailbox.post(coordinator, Channel::coordinator, Kind::part, pack_message(header_of(rows), part));
    ++in_flight_;
  }

  void finish() override {
    const base::Timer timer(metrics_, "wait commit");
    wait_until(0);
  }

 private:
  void wait_until(int in_flight) {
    const base::During during(parts_.activities.scorer, Doing::waiting, "waiting for rank 0 to commit");
    for (; in_flight_ > in_flight; --in_flight_) parts_.mailbox.take(Channel::credit);
  }

  const WorkerParts& parts_;
  base::Metrics& metrics_;
  int in_flight_ = 0;
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

  void deliver(const store::Rows& rows) override {
    const base::Timer timer(metrics_, "communicate");
    const base::During during(parts_.activities.scorer, Doing::waiting, "waiting for the disk");
    if (!queue_.push({header_of(rows), store::build_part(rows, parts_.columns, parts_.job)}) && error_)
      std::rethrow_exception(error_);
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
  struct Item {
    PartHeader header;
    std::string part;
  };

  void run() noexcept {
    try {
      while (std::optional<Item> first = queue_.pop()) {
        std::vector<Item> items;
        items.push_back(std::move(*first));
        while (std::optional<Item> more = queue_.try_pop()) items.push_back(std::move(*more));
        commit(items);
      }
    } catch (...) {
      error_ = std::current_exception();
      queue_.close();
    }
  }

  // One round of syncs for all that wait.
  void commit(const std::vector<Item>& items) {
    const base::During during(parts_.activities.committer, Doing::working, "committing parts");
    const base::Stopwatch watch;
    std::vector<store::PartWriter::Part> batch;
    for (const Item& item : items) batch.emplace_back(item.header.shard, item.part);
    parts_.own_parts->commit(batch);
    write_seconds_ += watch.seconds();
    for (const Item& item : items)
      parts_.mailbox.post(coordinator, Channel::coordinator, Kind::settled, pack_message(item.header));
  }

  const WorkerParts& parts_;
  base::Metrics& metrics_;
  base::BoundedQueue<Item> queue_{parts_in_flight};
  double write_seconds_ = 0;
  std::exception_ptr error_;  // set before the queue is closed
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Delivery> make_delivery(const WorkerParts& parts, base::Metrics& metrics) {
  if (parts.own_parts) return std::make_unique<Committer>(parts, metrics);
  return std::make_unique<Postman>(parts, metrics);
}

}  // namespace thresher::schedule
