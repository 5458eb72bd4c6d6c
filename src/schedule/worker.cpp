#include "thresher/schedule/worker.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "schedule/delivery.h"
#include "schedule/protocol.h"
#include "schedule/reading.h"
#include "schedule/stop.h"
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
  bool stopping() const { return parts_.stop.level() != StopLevel::none; }

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
      if (stopping()) order.stop();
      const auto [what, shard] = order.next();
      switch (what) {
        case ReadingOrder::Do::request:
          parts_.mailbox.post(coordinator, Channel::coordinator, Kind::request, {});
          break;
        case ReadingOrder::Do::take:
          order.leased(take());
          break;
        case ReadingOrder::Do::read:
          if (!hand_over(load(shard)) && !stopping()) return;
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

// The shards that are scored, and how fast.
class Scoring {
 public:
  Scoring(const WorkerParts& parts, base::Metrics& metrics)
      : parts_(parts), task_(parts.task), reader_(parts), delivery_(make_delivery(parts, metrics)) {}

  // The other threads are there already: they stay off this one's core as far as there are others.
  void run(base::Metrics& metrics) {
    const base::BoundThread bound(parts_.scorer_core);
    while (more_ || !task_.idle()) {
      if (parts_.stop.level() != StopLevel::none) wind_up();
      if (more_ && task_.hungry())
        feed();
      else
        task_.step(!more_);
      for (const store::Rows& rows : task_.take_finished()) delivery_->deliver(rows, seconds_of(rows.shard));
    }
    delivery_->finish();
    reader_.queue().close();
    reader_.report(metrics);
  }

 private:
  void feed() {
    if (!reader_.queue().ready()) task_.settle();
    const base::During during(parts_.activities.scorer, Doing::waiting, "waiting for input");
    auto shard = reader_.queue().pop();
    more_ = shard.has_value();
    if (reader_.scarce()) task_.spare();
    if (!more_ || reader_.stopping()) return;
    begun_[shard->shard] = watch_.seconds();
    task_.add(std::move(*shard));
  }

  // Shards that have not been begun are left to a later run, and so are those that cannot be finished in time.
  void wind_up() {
    const double left = parts_.stop.seconds_left(base::real_clock().seconds());
    if (more_) {
      more_ = false;
      reader_.queue().close();
      const auto fed = static_cast<double>(task_.counts().tokens_fed + task_.counts().tokens_shared);
      // How fast it goes is not known before the first batch.
      if (fed > 0) task_.keep(static_cast<std::int64_t>(fed / watch_.seconds() * std::max(left, 0.0)));
    }
    if (left <= 0) task_.keep(0);
  }

  double seconds_of(std::int64_t shard) {
    const auto found = begun_.extract(shard);
    return found.empty() ? 0 : watch_.seconds() - found.mapped();
  }

  const WorkerParts& parts_;
  engine::ScoreTask& task_;
  Reader reader_;
  const std::unique_ptr<Delivery> delivery_;
  const base::Stopwatch watch_;
  std::map<std::int64_t, double> begun_;  // when, by watch_
  bool more_ = true;
};

}  // namespace

void run_worker(const WorkerParts& parts, base::Metrics& metrics) {
  as_error([&] { Scoring(parts, metrics).run(metrics); });
  parts.mailbox.post(coordinator, Channel::coordinator, Kind::finished, {});
  parts.mailbox.flush();
}

}  // namespace thresher::schedule
