#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "schedule/protocol.h"
#include "thresher/base/check.h"
#include "thresher/comm/mailbox.h"
#include "thresher/schedule/coordinator.h"
#include "thresher/schedule/simulate.h"

using namespace thresher::schedule;
namespace base = thresher::base;
namespace comm = thresher::comm;

namespace {

SimulationSetup setup(int replicas, std::int64_t shards, double spread) {
  SimulationSetup setup;
  setup.replicas = replicas;
  setup.shard_seconds = ragged_shards(shards, 1, spread, 7);
  setup.part_bytes = 1e5;
  setup.record = true;
  return setup;
}

double sum(const std::vector<float>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// A mailbox that gives the coordinator a recorded order of messages and counts what it answers.
class Script : public comm::Mailbox {
 public:
  explicit Script(std::span<const Dealt> trace, int replicas) : trace_(trace), waiting_(replicas) {}

  std::optional<comm::Message> poll(comm::Channel) override {
    if (!parts_.empty()) {  // what was leased is scored at once
      const auto [replica, shard] = parts_.back();
      parts_.pop_back();
      return comm::Message{replica, Kind::part, pack_message(PartHeader{shard, 1, 1, 0})};
    }
    if (next_ < trace_.size()) return comm::Message{trace_[next_++].replica, Kind::request, {}};
    if (waiting_ > 0) return comm::Message{--waiting_, Kind::finished, {}};
    return {};
  }
  void post(int to, comm::Channel channel, std::int32_t, std::string bytes) override {
    if (channel == comm::Channel::credit) {
      ++counts.parts;
      return;
    }
    const Lease lease = unpack_message<Lease>(bytes);
    dealt.push_back({to, lease.first, lease.count});
    ++counts.requests;
    counts.leases += lease.count > 0;
    counts.longest_lease = std::max(counts.longest_lease, lease.count);
    for (std::int64_t shard = lease.first; shard < lease.first + lease.count; ++shard) parts_.emplace_back(to, shard);
  }
  void flush() override {}

  ScheduleCounts counts;
  std::vector<Dealt> dealt;

 private:
  std::span<const Dealt> trace_;
  std::size_t next_ = 0;
  int waiting_;
  std::vector<std::pair<int, std::int64_t>> parts_;
};

// Workers on threads, a real queue: what was dealt to whom, in order.
std::vector<Dealt> record_threads(std::int64_t shards, int workers) {
  LeaseQueue queue(std::vector<bool>(static_cast<std::size_t>(shards)), workers);
  std::mutex mutex;
  std::vector<Dealt> trace;
  std::vector<std::thread> threads;
  for (int worker = 0; worker < workers; ++worker)
    threads.emplace_back([&, worker] {
      for (;;) {
        Lease lease;
        {
          const std::lock_guard lock(mutex);
          lease = queue.lease();
          trace.push_back({worker, lease.first, lease.count});
        }
        if (lease.count == 0) return;
        std::this_thread::sleep_for(std::chrono::microseconds(100 * lease.count * (worker + 1)));
        const std::lock_guard lock(mutex);
        for (std::int64_t shard = lease.first; shard < lease.first + lease.count; ++shard) queue.complete(shard);
      }
    });
  for (std::thread& thread : threads) thread.join();
  return trace;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simulation)

BOOST_AUTO_TEST_CASE(every_shard_once_and_time_adds_up) {
  for (const int replicas : {1, 3, 64}) {
    const SimulationSetup plain = setup(replicas, 2000, 0.5);
    const SimulationResult result = simulate(plain);
    BOOST_TEST(result.counts.parts == 2000);
    std::vector<int> dealt(2000);
    for (const Dealt& one : result.dealt)
      for (std::int64_t shard = one.first; shard < one.first + one.count; ++shard)
        ++dealt[static_cast<std::size_t>(shard)];
    BOOST_TEST(std::count(dealt.begin(), dealt.end(), 1) == 2000);
    BOOST_TEST(result.busy * result.seconds * replicas == sum(plain.shard_seconds), boost::test_tools::tolerance(1e-6));
    BOOST_TEST(result.busy + result.wait_lease + result.wait_credit + result.tail == 1,
               boost::test_tools::tolerance(1e-6));
    BOOST_TEST(result.busy > 0.85);
    BOOST_TEST(result.coordinator_busy < 1);
  }
}

BOOST_AUTO_TEST_CASE(equal_setups_give_equal_results) {
  const SimulationResult one = simulate(setup(16, 3000, 0.4)), two = simulate(setup(16, 3000, 0.4));
  BOOST_TEST(one.seconds == two.seconds);
  BOOST_TEST((one.dealt == two.dealt));
  BOOST_TEST(one.events == two.events);
}

BOOST_AUTO_TEST_CASE(a_slow_replica_costs_its_own_share) {
  SimulationSetup uneven = setup(8, 4000, 0.2);
  uneven.speeds.assign(8, 1);
  uneven.speeds[3] = 0.5;
  const SimulationResult result = simulate(uneven);
  const double ideal = sum(uneven.shard_seconds) / 7.5;
  BOOST_TEST(result.seconds < 1.03 * ideal);
  std::int64_t slow = 0;
  for (const Dealt& one : result.dealt) slow += one.replica == 3 ? one.count : 0;
  BOOST_TEST(slow > 200);
  BOOST_TEST(slow < 330);
}

BOOST_AUTO_TEST_CASE(leases_ahead_hide_their_latency) {
  SimulationSetup far = setup(4, 400, 0.1);
  far.latency = 0.4;  // a shard takes a second
  const SimulationResult result = simulate(far);
  BOOST_TEST(result.wait_lease < 0.02);
}

BOOST_AUTO_TEST_CASE(credits_hold_replicas_back_from_a_slow_disk) {
  SimulationSetup slow = setup(8, 400, 0);
  slow.write_bandwidth = 2e5;  // two parts a second, eight come
  const SimulationResult result = simulate(slow);
  BOOST_TEST(result.wait_credit > 0.5);
  BOOST_TEST(result.coordinator_busy > 0.95);
  BOOST_TEST(result.seconds == 400 * 1e5 / 2e5, boost::test_tools::tolerance(0.05));
  slow.gather_bandwidth = 1e5;  // the network is slower still
  BOOST_TEST(simulate(slow).seconds == 400, boost::test_tools::tolerance(0.05));
}

// The cost model's estimate of the uneven end.
BOOST_AUTO_TEST_CASE(idle_ends_as_the_cost_model_says) {
  for (const int replicas : {2, 8, 64, 1000})
    for (const int shards : {10, 30, 100, 300}) {
      const double lost = 0.35 * std::log2(replicas), expected = lost / (lost + shards);
      const double idle = 1 - simulate(setup(replicas, shards * replicas, 0.3)).busy;
      BOOST_TEST(std::abs(idle - expected) < 0.06, replicas << " replicas, " << shards << " shards: " << idle);
    }
}

BOOST_AUTO_TEST_CASE(thousands_of_replicas_in_a_second) {
  const auto start = std::chrono::steady_clock::now();
  SimulationSetup large = setup(4096, 200'000, 0.3);
  large.record = false;
  const SimulationResult result = simulate(large);
  BOOST_TEST(result.counts.parts == 200'000);
  BOOST_TEST(result.busy > 0.8);
  BOOST_TEST(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 20);
}

BOOST_AUTO_TEST_CASE(the_real_coordinator_deals_the_same) {
  for (const int replicas : {1, 2, 7, 100}) {
    const SimulationResult result = simulate(setup(replicas, 1500, 0.6));
    Script script(result.dealt, replicas);
    LeaseQueue queue(std::vector<bool>(1500), replicas);
    base::Activity activity;
    Coordinator(script, replicas, queue,
                {.commit = [](std::span<const CommittedPart>) {},
                 .committed = [](std::int64_t) {},
                 .advanced = [](const Advance&) {}},
                activity)
        .run();
    BOOST_TEST((script.dealt == result.dealt));
    BOOST_TEST((script.counts == result.counts));
    BOOST_TEST(queue.finished());
  }
}

BOOST_AUTO_TEST_CASE(a_trace_of_the_real_queue_replays) {
  const std::vector<Dealt> trace = record_threads(500, 3);
  const ScheduleCounts counts = replay(trace, 500, 3);
  BOOST_TEST(counts.requests == static_cast<std::int64_t>(trace.size()));
  BOOST_TEST(counts.parts == 500);
  BOOST_TEST(counts.leases == counts.requests - 3);
  std::vector<Dealt> damaged = trace;
  ++damaged[1].count;
  BOOST_CHECK_THROW(replay(damaged, 500, 3), base::Error);
}

BOOST_AUTO_TEST_CASE(ragged_shards_have_their_mean) {
  const std::vector<float> shards = ragged_shards(100'000, 3, 0.5, 1);
  BOOST_TEST(sum(shards) / 100'000 == 3, boost::test_tools::tolerance(0.01));
  BOOST_TEST((shards == ragged_shards(100'000, 3, 0.5, 1)));
  BOOST_TEST((shards != ragged_shards(100'000, 3, 0.5, 2)));
  for (const float shard : ragged_shards(10, 3, 0, 1)) BOOST_TEST(shard == 3);
}

BOOST_AUTO_TEST_SUITE_END()
