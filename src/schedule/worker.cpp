#include "thresher/schedule/worker.h"

#include <algorithm>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "schedule/protocol.h"
#include "thresher/base/bounded_queue.h"
#include "thresher/schedule/queue.h"

namespace thresher::schedule {
namespace {

using comm::Channel;

constexpr int coordinator = 0;           // the rank that deals
constexpr std::size_t shards_ahead = 2;  // encoded shards that wait for the scorer
constexpr int parts_in_flight = 4;       // posted and not committed: bounds rank zero's memory

// Leases, reads and encodes on a thread of its own.
class Reader {
 public:
  explicit Reader(const WorkerParts& parts) : parts_(parts), queue_(shards_ahead), thread_([this] { run(); }) {}

  ~Reader() {
    queue_.close();
    if (thread_.joinable()) thread_.join();
  }

  base::BoundedQueue<engine::EncodedShard>& queue() { return queue_; }

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
      as_error([this] {
        for (Lease lease = next(); lease.count > 0; lease = next())
          for (std::int64_t shard = lease.first; shard < lease.first + lease.count; ++shard)
            if (!queue_.push(load(shard))) return;
      });
      queue_.close();
    } catch (...) {
      queue_.abort(std::current_exception());
    }
  }

  Lease next() {
    const base::Timer timer(metrics_, "wait lease");
    parts_.mailbox.post(coordinator, Channel::coordinator, Kind::request, {});
    const comm::Message answer = parts_.mailbox.take(Channel::lease);
    if (answer.kind == Kind::stop) throw unpack_error(answer.bytes);
    return unpack_message<Lease>(answer.bytes);
  }

  engine::EncodedShard load(std::int64_t shard) {
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
  base::BoundedQueue<engine::EncodedShard> queue_;
  std::thread thread_;
};

// Posts parts to the coordinator, at most `parts_in_flight` ahead of its commits.
class Postman {
 public:
  Postman(const WorkerParts& parts, base::Metrics& metrics) : parts_(parts), metrics_(metrics) {}

  void post(const store::Rows& rows) {
    const base::Timer timer(metrics_, "communicate");
    wait_until(parts_in_flight - 1);
    PartHeader header{rows.shard, rows.count(), 0, 0};
    for (std::int64_t tokens : rows.tokens) header.tokens += tokens;
    for (store::Status status : rows.status)
      header.failures += status != store::Status::ok && status != store::Status::windowed;
    const std::string part = store::build_part(rows, parts_.columns);
    parts_.mailbox.post(coordinator, Channel::coordinator, Kind::part, pack_message(header, part));
    ++in_flight_;
  }

  void wait_until(int in_flight) {
    while (in_flight_ > in_flight) {
      const comm::Message message = parts_.mailbox.take(Channel::credit);
      if (message.kind == Kind::stop) throw unpack_error(message.bytes);
      --in_flight_;
    }
  }

 private:
  const WorkerParts& parts_;
  base::Metrics& metrics_;
  int in_flight_ = 0;
};

void work(const WorkerParts& parts, base::Metrics& metrics) {
  Reader reader(parts);
  Postman postman(parts, metrics);
  engine::ScoreTask& task = parts.task;
  bool more = true;
  while (more || !task.idle()) {
    if (more && task.hungry()) {
      auto shard = reader.queue().pop();
      more = shard.has_value();
      if (more) task.add(std::move(*shard));
    } else {
      const base::Timer timer(metrics, "score");
      task.step(!more);
    }
    for (const store::Rows& rows : task.take_finished()) postman.post(rows);
  }
  {
    const base::Timer timer(metrics, "wait commit");
    postman.wait_until(0);
  }
  reader.report(metrics);
}

}  // namespace

void run_worker(const WorkerParts& parts, base::Metrics& metrics) {
  std::exception_ptr error;
  try {
    as_error([&] { work(parts, metrics); });
  } catch (const base::Error& caught) {
    error = std::current_exception();
    parts.mailbox.post(coordinator, Channel::coordinator, Kind::failed, pack_error(caught));
  }
  parts.mailbox.post(coordinator, Channel::coordinator, Kind::finished, {});
  parts.mailbox.flush();
  if (error) std::rethrow_exception(error);
}

}  // namespace thresher::schedule
