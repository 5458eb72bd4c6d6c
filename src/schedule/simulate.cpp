#include "thresher/schedule/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <queue>
#include <tuple>

#include "thresher/base/check.h"

namespace thresher::schedule {
namespace {

constexpr int slices = 100;  // of the job's time, for the peak of requests

// The queue, and counts of what goes through it.
class Desk {
 public:
  Desk(std::int64_t shards, int workers) : queue_(std::vector<bool>(static_cast<std::size_t>(shards)), workers) {}

  Dealt deal(int replica) {
    const Lease lease = queue_.lease();
    ++counts_.requests;
    if (lease.count > 0) ++counts_.leases;
    counts_.longest_lease = std::max(counts_.longest_lease, lease.count);
    return {replica, lease.first, lease.count};
  }
  void commit(std::int64_t shard) {
    queue_.complete(shard);
    ++counts_.parts;
  }
  const ScheduleCounts& counts() const { return counts_; }

 private:
  LeaseQueue queue_;
  ScheduleCounts counts_;
};

enum class What : std::uint8_t { request, part, wake, lease, scored, credit };

struct Event {
  double time;
  std::int64_t order;  // of events at one time: as they were made
  What what;
  int replica;
  std::int64_t first, count;  // of a lease; a part's shard is `first`

  bool operator>(const Event& other) const { return std::tie(time, order) > std::tie(other.time, other.order); }
};

struct Replica {
  std::deque<Dealt> leases;        // dealt and not begun
  std::int64_t next = 0, end = 0;  // shards of the begun one that are not read
  bool over = false;               // there are no more leases
  std::deque<std::int64_t> ready;  // read; the last one of more than `shards_ahead` blocks the reader
  int in_flight = 0;
  bool scoring = false;
  std::int64_t held = -1;  // a scored shard that waits for a credit
  double idle_since = 0, last_done = 0;
  double scored = 0, wait_lease = 0, wait_credit = 0;
};

class Simulation {
 public:
  explicit Simulation(const SimulationSetup& setup)
      : setup_(setup),
        desk_(static_cast<std::int64_t>(setup.shard_seconds.size()), setup.replicas),
        replicas_(static_cast<std::size_t>(setup.replicas)) {
    const double all = std::accumulate(setup.shard_seconds.begin(), setup.shard_seconds.end(), 0.0);
    if (all > 0) bytes_per_second_ = setup.part_bytes * static_cast<double>(setup.shard_seconds.size()) / all;
  }

  SimulationResult run() {
    for (int replica = 0; replica < setup_.replicas; ++replica) ask(replica);
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.time;
      ++result_.events;
      handle(event);
    }
    conclude();
    return std::move(result_);
  }

 private:
  void at(double time, What what, int replica, std::int64_t first = 0, std::int64_t count = 0) {
    events_.push({time, made_++, what, replica, first, count});
  }
  Replica& of(int replica) { return replicas_[static_cast<std::size_t>(replica)]; }
  double bytes_of(std::int64_t shard) const {
    return bytes_per_second_ * setup_.shard_seconds[static_cast<std::size_t>(shard)];
  }

  void handle(const Event& event);
  // A replica's side.
  void ask(int replica);
  void read(int replica);
  void begin_next(int replica);
  void post(int replica, std::int64_t shard);
  // Rank zero's side.
  void arrived(const Event& event);
  void work();
  void commit(double start);
  void conclude();

  const SimulationSetup& setup_;
  Desk desk_;
  std::vector<Replica> replicas_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::int64_t made_ = 0;
  double now_ = 0, bytes_per_second_ = 0;
  std::deque<Event> inbox_;   // arrived at rank zero, not looked at
  std::vector<Event> parts_;  // looked at, not committed
  bool awake_ = false;        // rank zero has a time at which it works next
  double busy_ = 0, bytes_ = 0, link_free_ = 0, last_commit_ = 0;
  std::vector<float> request_times_;
  SimulationResult result_;
};

void Simulation::handle(const Event& event) {
  Replica& replica = of(event.replica);
  switch (event.what) {
    case What::request:
    case What::part:
      return arrived(event);
    case What::wake:
      return work();
    case What::lease:
      replica.leases.push_back({event.replica, event.first, event.count});
      return begin_next(event.replica);
    case What::scored:
      replica.scoring = false;
      replica.last_done = replica.idle_since = now_;
      replica.held = event.first;
      return begin_next(event.replica);
    case What::credit:
      --replica.in_flight;
      return begin_next(event.replica);
  }
}

void Simulation::ask(int replica) {
  request_times_.push_back(static_cast<float>(now_));
  at(now_ + setup_.latency, What::request, replica);
}

// Reads ahead as far as it may; with the last shard of a lease the next one is asked for.
void Simulation::read(int number) {
  Replica& replica = of(number);
  while (!replica.over && static_cast<int>(replica.ready.size()) <= setup_.shards_ahead) {
    if (replica.next == replica.end) {
      if (replica.leases.empty()) return;
      const Dealt lease = replica.leases.front();
      replica.leases.pop_front();
      replica.over = lease.count == 0;
      replica.next = lease.first;
      replica.end = lease.first + lease.count;
      continue;
    }
    if (replica.next == replica.end - 1) ask(number);
    replica.ready.push_back(replica.next++);
  }
}

// Posts what is scored, then scores the next shard, as far as credits and leases allow.
void Simulation::begin_next(int number) {
  Replica& replica = of(number);
  read(number);
  if (replica.scoring) return;
  if (replica.held >= 0) {
    if (replica.in_flight == setup_.credits) return;
    replica.wait_credit += now_ - replica.idle_since;
    replica.idle_since = now_;
    post(number, replica.held);
    replica.held = -1;
  }
  if (replica.ready.empty()) return;
  const std::int64_t shard = replica.ready.front();
  replica.ready.pop_front();
  read(number);
  replica.wait_lease += now_ - replica.idle_since;
  const double speed = setup_.speeds.empty() ? 1 : setup_.speeds[static_cast<std::size_t>(number)];
  const double seconds = setup_.shard_seconds[static_cast<std::size_t>(shard)] / speed;
  replica.scoring = true;
  replica.scored += seconds;
  at(now_ + seconds, What::scored, number, shard);
}

// Parts queue for rank zero's link.
void Simulation::post(int replica, std::int64_t shard) {
  ++of(replica).in_flight;
  link_free_ = std::max(now_, link_free_) + bytes_of(shard) / setup_.gather_bandwidth;
  at(link_free_ + setup_.latency, What::part, replica, shard);
}

void Simulation::arrived(const Event& event) {
  inbox_.push_back(event);
  if (awake_) return;
  awake_ = true;
  at(now_ + setup_.poll_seconds, What::wake, 0);
}

// One round: what has arrived, until enough parts are there to commit.
void Simulation::work() {
  double time = now_;
  while (!inbox_.empty() && static_cast<int>(parts_.size()) < setup_.most_at_once) {
    const Event event = inbox_.front();
    inbox_.pop_front();
    time += setup_.request_seconds;
    if (event.what == What::part) {
      parts_.push_back(event);
      continue;
    }
    const Dealt dealt = desk_.deal(event.replica);
    if (setup_.record) result_.dealt.push_back(dealt);
    at(time + setup_.latency, What::lease, event.replica, dealt.first, dealt.count);
  }
  busy_ += time - now_;
  awake_ = !parts_.empty() || !inbox_.empty();
  if (!parts_.empty()) {
    commit(time);
  } else if (awake_) {
    at(time, What::wake, 0);
  }
}

void Simulation::commit(double start) {
  double bytes = 0;
  for (const Event& part : parts_) {
    bytes += bytes_of(part.first);
    desk_.commit(part.first);
  }
  const double end = start + setup_.commit_seconds + bytes / setup_.write_bandwidth;
  for (const Event& part : parts_) at(end + setup_.latency, What::credit, part.replica);
  parts_.clear();
  ++result_.commits;
  bytes_ += bytes;
  busy_ += end - start;
  last_commit_ = end;
  at(end + 2 * setup_.poll_seconds, What::wake, 0);
}

void Simulation::conclude() {
  result_.counts = desk_.counts();
  result_.seconds = last_commit_;
  if (last_commit_ <= 0) return;
  const double time = last_commit_ * setup_.replicas;
  for (const Replica& replica : replicas_) {
    result_.busy += replica.scored / time;
    result_.wait_lease += replica.wait_lease / time;
    result_.wait_credit += replica.wait_credit / time;
    result_.tail += (last_commit_ - replica.last_done) / time;
  }
  result_.requests_per_second = static_cast<double>(result_.counts.requests) / last_commit_;
  std::vector<std::int64_t> in_slice(slices);
  for (const float when : request_times_)
    ++in_slice[static_cast<std::size_t>(std::clamp<double>(slices * when / last_commit_, 0, slices - 1))];
  result_.peak_requests_per_second =
      static_cast<double>(*std::max_element(in_slice.begin(), in_slice.end())) * slices / last_commit_;
  result_.gather_bytes_per_second = bytes_ / last_commit_;
  result_.coordinator_busy = busy_ / last_commit_;
}

// SplitMix64 (Steele et al. 2014): the same numbers on any machine, unlike the standard library's distributions.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}
  double uniform() {
    std::uint64_t word = state_ += 0x9e3779b97f4a7c15u;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
    word = (word ^ word >> 27) * 0x94d049bb133111ebu;
    word ^= word >> 31;
    return (static_cast<double>(word >> 11) + 0.5) * 0x1p-53;
  }
  // Box and Muller 1958.
  double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform()); }

 private:
  std::uint64_t state_;
};

}  // namespace

SimulationResult simulate(const SimulationSetup& setup) {
  if (setup.replicas < 1 || setup.credits < 1 || setup.most_at_once < 1)
    base::fail(base::Exit::internal, "a simulation needs a replica, a credit and a part at once");
  if (!setup.speeds.empty() && static_cast<int>(setup.speeds.size()) != setup.replicas)
    base::fail(base::Exit::internal, fmt::format("{} speeds for {} replicas", setup.speeds.size(), setup.replicas));
  return Simulation(setup).run();
}

std::vector<float> ragged_shards(std::int64_t count, double seconds, double spread, std::uint64_t seed) {
  Draw draw(seed);
  std::vector<float> shards(static_cast<std::size_t>(count));
  for (float& shard : shards)
    shard = static_cast<float>(seconds * std::exp(spread * draw.normal() - spread * spread / 2));
  return shards;
}

ScheduleCounts replay(std::span<const Dealt> trace, std::int64_t shards, int workers) {
  Desk desk(shards, workers);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const Dealt dealt = desk.deal(trace[i].replica);
    if (dealt.count != trace[i].count || (dealt.count > 0 && dealt.first != trace[i].first))
      base::fail(base::Exit::data, fmt::format("request {}: the queue deals shards {} + {}, the trace has {} + {}", i,
                                               dealt.first, dealt.count, trace[i].first, trace[i].count));
    for (std::int64_t shard = dealt.first; shard < dealt.first + dealt.count; ++shard) desk.commit(shard);
  }
  return desk.counts();
}

}  // namespace thresher::schedule
