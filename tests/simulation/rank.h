// A replica's leader without threads: its reader, its scorer and what it commits, woken by events. What they do next,
// post and write is the program's own code; only the waiting, and the scores, are made up.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/faulty_files.h"
#include "base/random.h"
#include "schedule/delivery.h"
#include "schedule/reading.h"
#include "simulation/network.h"
#include "simulation/world.h"
#include "thresher/store/part_writer.h"

namespace thresher::simulation {

// What the ranks of one launch share; all of it outlives them.
struct Surroundings {
  Events& events;
  tests::Random& random;
  const World& world;
  bool builds_parts;  // with HDF5, and not out of `world`
  // Runs a rank's work, unless it has ended, and takes care of what it throws.
  std::function<void(int rank, const std::function<void()>& work)> run;
  // A rank has committed a shard itself: it is durable.
  std::function<void(std::int64_t shard)> durable;
};

class Rank {
 public:
  // Rank `number` of launch `launch`.
  Rank(std::int64_t launch, int number, Surroundings& around, std::unique_ptr<comm::Mailbox> mailbox,
       base::FileSystem& disk);

  int number() const { return number_; }
  tests::FaultyFiles& files() { return files_; }
  comm::Mailbox& mailbox() { return *mailbox_; }

  // Begins to ask for leases; where the job is sharded, finds the run directory first.
  void start(const base::Path& directory);
  // A message is there.
  void hear(comm::Channel channel);
  // No shard is begun any more.
  void wind_up();
  // Everything is delivered and durable.
  bool finished() const { return finished_; }
  // Killed, failed or told to end.
  void end() { ended_ = true; }
  bool ended() const { return ended_; }

 private:
  void wake(void (Rank::*work)(), double seconds = 0);
  void read();
  bool read_on();
  void score();
  bool deliver(std::int64_t shard);
  void commit();
  void finish();
  schedule::FinishedPart part_of(std::int64_t shard) const;
  bool hungry() const { return input_.empty() && scoring_ < width_; }

  const int number_;
  Surroundings& around_;
  tests::FaultyFiles files_;
  std::unique_ptr<comm::Mailbox> mailbox_;
  std::optional<store::PartWriter> writer_;  // sharded
  schedule::Outbox outbox_;
  schedule::ReadingOrder order_;
  const std::int64_t width_;          // shards that are scored at once
  const double pace_;                 // seconds a shard takes, about
  bool reading_ = false;              // a shard is being read
  bool starving_ = false;             // the reader waits for a hungry scorer
  bool all_read_ = false;             // the reader has ended
  std::optional<std::int64_t> held_;  // a shard that was read and has no room yet
  std::deque<std::int64_t> input_;    // read
  std::int64_t scoring_ = 0;
  std::deque<std::int64_t> scored_;                // not delivered
  std::vector<schedule::FinishedPart> to_commit_;  // sharded
  bool committing_ = false;
  bool winding_up_ = false, finished_ = false, ended_ = false;
};

}  // namespace thresher::simulation
