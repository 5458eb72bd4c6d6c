// Which layout to use: all that a number of ranks allows, the best first, and why the others lose. Pure.
#pragma once

#include <string>
#include <vector>

#include "thresher/schedule/cost.h"

namespace thresher::schedule {

struct Candidate {
  Cost cost;
  bool fits = false;
  std::string reason;  // why it is not the best one; empty for the best
};

// Layouts of exactly `ranks` ranks, spread evenly over the machine's nodes. Those that fit come first, by falling
// speed; of layouts within one per cent the one that streams no layers, then with fewer shards, then fewer stages. The
// others follow by rising need of memory.
std::vector<Candidate> rank_layouts(const Demand& demand, const Machine& machine, int ranks);

// What a job knows about its hosts when it starts.
struct Hosts {
  std::vector<int> ranks;            // of each host, in the order of world ranks
  std::vector<std::int64_t> memory;  // bytes of each host that the job may use
  int cores = 1;                     // that the job may use on the smallest host
  std::int64_t gpu_memory = 0;       // bytes that each rank has on its GPU, the least of all; 0 = no GPUs
};

// `--layout auto`: the layout for these ranks. Everyone who calls it with equal arguments gets the same answer; it
// measures nothing. Speeds come from a description of an ordinary CPU or GPU, for what counts here is their proportion:
// a layout without stages and shards where the model fits, else as few stages as fit, tensor shards last, and never
// across hosts where there is another way. Throws base::Error (config) when nothing fits, naming the need of the
// leanest layout and what is there.
Layout choose_layout(const Demand& demand, const Hosts& hosts);

}  // namespace thresher::schedule
