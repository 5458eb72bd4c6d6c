// Whole jobs with everything that can go wrong, one after the other in one thread: launches with other numbers of ranks
// until one gets through, on a disk that loses power and between ranks that die. The same seed gives the same job.
#pragma once

#include <cstdint>
#include <string>

#include "simulation/launch.h"

namespace thresher::simulation {

// Ways of being wrong that the simulation has to find.
enum class Mistake : std::uint8_t {
  none,
  no_sync,            // the data of files are never synced
  late_sync,          // data are synced after the file has its name
  no_directory_sync,  // names are never synced
  done_list           // a list says what is committed, and not the parts
};

// What happened in a job, or in several.
struct Tally {
  std::int64_t jobs = 0, launches = 0, ranks = 0, events = 0;
  std::int64_t finished = 0, stopped = 0, failed = 0, killed = 0, power_losses = 0;  // launches
  std::int64_t stragglers = 0, intruders = 0, damaged = 0;
  std::int64_t verified = 0;  // directories, by verify_run
  std::uint64_t trace = 0;    // of all that happened: equal seeds have equal ones
  void add(const Tally& other);
};

// Runs a job until it is finished. After every launch no file has its name before it is complete, what was committed is
// there, and errors name a file and a reason; at the end the directory holds byte for byte what an undisturbed job
// leaves and nothing else, before and after the power goes, and verify_run finds nothing. Throws Broken.
Tally simulate_job(std::uint64_t seed, Mistake mistake = Mistake::none);

}  // namespace thresher::simulation
