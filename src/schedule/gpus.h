// Which rank computes on which GPU.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "thresher/comm/comm.h"
#include "thresher/schedule/job.h"

namespace thresher::schedule {

// The place of each rank's GPU in its own list. In the order of ranks, each takes the GPU of its list that the fewest
// ranks of its host have, the first of those. Lists hold UUIDs: they differ where a launcher shows each rank its own
// GPU. Throws base::Error (config) where two ranks would have one GPU and `share` does not allow it. Pure.
std::vector<int> assign_gpus(std::span<const std::string> hosts, std::span<const std::vector<std::string>> lists,
                             bool share);

// A rank's GPU among those of the job.
struct TakenGpu {
  int place = 0;                   // in the rank's own list
  std::int64_t memory = 0;         // bytes of a GPU that a rank has for itself, the least of all ranks
  std::string map;                 // who has which, for people; a line a rank
  std::vector<std::string> gpus;   // of all ranks, by host and UUID
  std::vector<std::string> uuids;  // by rank
};

// Collective. Throws on all ranks alike.
TakenGpu take_gpu(comm::Comm& world, std::span<const std::string> hosts, std::span<const std::string> names,
                  bool share);

// The least of the bytes that ranks have, those of one GPU in equal parts. Element r is of rank r. Pure.
std::int64_t least_share(std::span<const std::string> hosts, std::span<const std::string> uuids,
                         std::span<const std::int64_t> memory);

}  // namespace thresher::schedule
