// One launch of a job: from `mpirun` to its end, whatever the end is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/faulty_files.h"
#include "base/random.h"
#include "schedule/record.h"
#include "simulation/rank.h"
#include "thresher/schedule/coordinator.h"

namespace thresher::simulation {

// What goes wrong.
struct Disturbance {
  std::vector<std::pair<int, tests::Fault>> faults;  // by rank
  std::optional<double> kill_at{};
  int killed = -1;                      // this rank; below 0: all at once
  bool power = false;                   // where a process dies, all of them do
  std::optional<double> intruder_at{};  // somebody starts the same job in the same directory
  std::function<void()> meanwhile{};    // happens before call number `meanwhile_call` of rank zero's files
  std::int64_t meanwhile_call = 0;
  std::optional<double> stop_at{};
  schedule::StopLevel stop = schedule::StopLevel::finish;
};

// How parts are committed and found again: the program's way. Tests put wrong ones in its place.
class CommitRule {
 public:
  virtual ~CommitRule() = default;
  // At the start of a launch. Element s tells whether shard s needs no work.
  virtual std::vector<bool> begin(schedule::JobRecord& record, base::FileSystem& files, const store::Plan& plan);
  virtual void commit(schedule::JobRecord& record, base::FileSystem& files,
                      std::span<const schedule::CommittedPart> parts);
};

enum class End : std::uint8_t { finished, stopped, failed, killed };

struct Outcome {
  End end = End::killed;
  std::optional<base::Error> error{};  // failed
  bool settled = false;                // plan.json was written or agreed
  bool struck = false;                 // some fault came to pass
};

// The simulation has found a fault of the program's.
class Broken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Launch {
 public:
  struct Options {
    std::int64_t number;  // of the launch
    base::FileSystem& disk;
    base::Path directory;
    const World& world;
    int ranks = 1;
    bool fresh = false;
    store::Codec& codec;
    bool builds_parts = false;
    CommitRule& rule;
    Disturbance disturbance{};
  };

  // `acknowledged`: shards that the job has called committed; they have to be there, and new ones are added.
  Launch(const Options& options, tests::Random& random, std::set<std::int64_t>& acknowledged);

  // Throws Broken: a shard that was committed is gone, or nobody moves any more.
  Outcome run();
  std::int64_t events() const { return events_.happened(); }

 private:
  void run_rank(int rank, const std::function<void()>& work);
  void hear(int rank, comm::Channel channel);
  void hear_monitor(Rank& rank);
  void open();
  void begin();
  void step();
  void conclude();
  void order_stop();
  void intrude();
  void fail(Rank& rank, const base::Error& error);
  void die(int rank);
  void bury(int rank);
  bool over() const;
  Rank& leader() { return *ranks_.front(); }

  const Options options_;
  tests::Random& random_;
  std::set<std::int64_t>& acknowledged_;
  Events events_;
  Network network_;
  Surroundings around_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::unique_ptr<schedule::JobRecord> record_;
  std::optional<schedule::LeaseQueue> queue_;
  base::Activity activity_;
  std::optional<schedule::Coordinator> coordinator_;
  bool stepping_ = false, concluded_ = false, falling_ = false;
  schedule::StopLevel stop_ = schedule::StopLevel::none;
  Outcome outcome_;
};

}  // namespace thresher::simulation
