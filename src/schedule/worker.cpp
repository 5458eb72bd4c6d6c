#include "thresher/schedule/worker.h"

#include <atomic>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "schedule/delivery.h"
#include "schedule/protocol.h"
#include "schedule/reading.h"
#include "thresher/base/bounded_queue.h"
#include "thresher/schedule/queue.h"

namespace thresher::schedule {
namespace {

using base::Doing;
using comm::Channel;

// Leases, reads and encodes on a thread of its own.
class Reader {
 public:
  explicit Reader(const WorkerParts& parts) : parts_(parts), queue_(shards_ahead), thread_([this] { run(); }) {}

  ~Reader() {
    queue_.close();
    if (thread_.joinable()) thread_.join();
  }

  base::BoundedQueue<engine::EncodedShard>& queue() { return queue_; }
  bool scarce() const { return scarce_; }

  // After the queue has ended.
  void report(base::Metrics& metrics) {
    thread_.join();
    metrics.add("read", metrics_.value("read"));
    metrics.add("tokenize", metrics_.value("tokenize"));
    metrics.add("wait lease", metrics_.value("wait lease"));
    metrics.add("reader waits", queue_.push_wait());
    metrics.add("wait input", queue_.pop_wait());
  }

 private:
  void run() noexcept {
    try {
      as_error([this] { read_leases(); });
      queue_.close();
    } catch (...) {
      queue_.abort(std::current_exception());
    }
    parts_.activities.reader.begin(Doing::nothing, "");
  }

  void read_leases() {
    ReadingOrder order;
    while (true) {
      const auto [what, shard] = order.next();
      switch (what) {
        case ReadingOrder::Do::request:
          parts_.mailbox.post(coordinator, Channel::coordinator, Kind::request, {});
          break;
        case ReadingOrder::Do::take:
          order.leased(take());
          break;
        case ReadingOrder::Do::read:
          if (!hand_over(load(shard))) return;
          break;
        case ReadingOrder::Do::await_hunger:
          await_hunger();
          break;
        case ReadingOrder::Do::end:
          return;
      }
    }
  }

  // False if the scorer has gone.
  bool hand_over(engine::EncodedShard shard) {
    const base::During during(parts_.activities.reader, Doing::waiting, "waiting for the scorer");
    return queue_.push(std::move(shard));
  }

  void await_hunger() {
    const base::During during(parts_.activities.reader, Doing::waiting, "waiting for the scorer");
    queue_.await_hunger();
  }

  Lease take() {
    const base::Timer timer(metrics_, "wait lease");
    const base::During during(parts_.activities.reader, Doing::waiting, "waiting for a lease");
    const auto lease = unpack_message<Lease>(parts_.mailbox.take(Channel::lease).bytes);
    if (lease.scarce && lease.count > 0) scarce_ = true;
    return lease;
  }

  engine::EncodedShard load(std::int64_t shard) {
    const base::During during(parts_.activities.reader, Doing::working, "reading and tokenizing a shard");
    store::Documents documents;
    {
      const base::Timer timer(metrics_, "read");
      const std::int64_t first = parts_.shards[static_cast<std::size_t>(shard)];
      documents = parts_.corpus.read(first, parts_.shards[static_cast<std::size_t>(shard) + 1] - first);
    }
    const base::Timer timer(metrics_, "tokenize");
    return engine::encode(documents, shard, parts_.policy);
  }

  const WorkerParts& parts_;
  base::Metrics metrics_;
  std::atomic<bool> scarce_{false};
  base::BoundedQueue<engine::EncodedShard> queue_;
  std::thread thread_;
};

void work(const WorkerParts& parts, base::Metrics& metrics) {
  Reader reader(parts);
  const std::unique_ptr<Delivery> delivery = make_delivery(parts, metrics);
  engine::ScoreTask& task = parts.task;
  bool more = true;
  while (more || !task.idle()) {
    if (more && task.hungry()) {
      const base::During during(parts.activities.scorer, Doing::waiting, "waiting for input");
      auto shard = reader.queue().pop();
      more = shard.has_value();
      if (reader.scarce()) task.spare();
      if (more) task.add(std::move(*shard));
    } else {
      task.step(!more);
    }
    for (const store::Rows& rows : task.take_finished()) delivery->deliver(rows);
  }
  delivery->finish();
  reader.report(metrics);
}

}  // namespace

void run_worker(const WorkerParts& parts, base::Metrics& metrics) {
  as_error([&] { work(parts, metrics); });
  parts.mailbox.post(coordinator, Channel::coordinator, Kind::finished, {});
  parts.mailbox.flush();
}

}  // namespace thresher::schedule
