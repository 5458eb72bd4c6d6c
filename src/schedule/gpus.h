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

// Collective. This rank's GPU, and on rank zero's log who has which. Throws on all ranks alike.
int take_gpu(comm::Comm& world, std::span<const std::string> hosts, std::span<const std::string> names, bool share);

}  // namespace thresher::schedule
