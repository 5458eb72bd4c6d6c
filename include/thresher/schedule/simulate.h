// A job's schedule with thousands of replicas, played through in simulated time: the queue is the real one, computing
// is a number of seconds.
//
// Replicas ask rank zero for a lease when they read the last shard of the one before; score shards one after another, a
// few behind the reader; and post a part for each, at most `credits` of them before rank zero has committed the first.
// Rank zero does one thing at a time: it takes what has arrived, deals leases, and commits the parts that came, up to
// `most_at_once` in one round; bytes reach it through one link, one part after another.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "thresher/schedule/queue.h"

namespace thresher::schedule {

struct SimulationSetup {
  int replicas = 1;
  std::vector<float> shard_seconds;  // of a replica of speed 1
  std::vector<double> speeds;        // of each replica; empty = all 1
  double latency = 20e-6;            // of a message, seconds
  double request_seconds = 2e-6;     // rank zero's work for one message
  double poll_seconds = 250e-6;      // until an idle rank zero looks again, the mean
  double part_bytes = 0;             // of a shard, the mean: each shard's is in proportion to its seconds
  double gather_bandwidth = 1e10;    // bytes/s into rank zero
  double commit_seconds = 2e-3;      // a round of syncs
  double write_bandwidth = 1e9;      // bytes/s to the disk
  int shards_ahead = 2;              // read and not begun, besides the one that is being read
  int credits = 4;
  int most_at_once = 32;
  bool record = false;  // keep the order in which leases were dealt
};

// A lease as it was dealt.
struct Dealt {
  int replica = 0;
  std::int64_t first = 0, count = 0;  // count 0: there was nothing left
  bool operator==(const Dealt&) const = default;
};

// What happened, as counts; a replay of the same order gives the same ones.
struct ScheduleCounts {
  std::int64_t requests = 0;       // of leases, those in vain included
  std::int64_t leases = 0;         // with shards in them
  std::int64_t parts = 0;          // committed
  std::int64_t longest_lease = 0;  // shards
  bool operator==(const ScheduleCounts&) const = default;
};

struct SimulationResult {
  ScheduleCounts counts;
  std::int64_t commits = 0;  // rounds
  std::int64_t events = 0;
  double seconds = 0;     // until the last part is durable
  double busy = 0;        // share of the replicas' time that is scoring
  double wait_lease = 0;  // shares of it that wait for a lease or for a credit
  double wait_credit = 0;
  double tail = 0;                                               // share of it after a replica's last shard
  double requests_per_second = 0, peak_requests_per_second = 0;  // over the job; in its worst hundredth
  double gather_bytes_per_second = 0;
  double coordinator_busy = 0;  // share of the time that rank zero works
  std::vector<Dealt> dealt;     // where recorded
};

// Equal setups give equal results.
SimulationResult simulate(const SimulationSetup& setup);

// Shards of different sizes: log-normal with deviation `spread` of the logarithm, mean `seconds`; deterministic.
std::vector<float> ragged_shards(std::int64_t count, double seconds, double spread, std::uint64_t seed);

// Deals a queue's leases again in the order of a trace. Throws base::Error (data) where the queue deals another run
// than the trace says, naming both.
ScheduleCounts replay(std::span<const Dealt> trace, std::int64_t shards, int workers);

}  // namespace thresher::schedule
