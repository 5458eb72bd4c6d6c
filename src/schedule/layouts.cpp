#include "thresher/schedule/layouts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "schedule/cost_memory.h"
#include "thresher/base/check.h"

namespace thresher::schedule {
namespace {

constexpr double alike = 0.01;  // speeds that differ by less are equal

std::vector<Layout> all_layouts(const model::ModelConfig& config, int ranks) {
  std::vector<Layout> layouts;
  for (int shards = 1; shards <= model::virtual_shards; shards *= 2)
    for (int stages = 1; stages <= std::min<std::int64_t>(ranks / shards, 2 * config.layers); ++stages)
      if (ranks % (shards * stages) == 0) layouts.push_back({ranks / (shards * stages), stages, shards});
  return layouts;
}

// What is needed and what is there: of a GPU, or of a node whose ranks share its memory.
struct Need {
  double bytes = 0, there = 0;
  const char* where = "";
};

Need need_of(const Cost& cost, const Machine& machine) {
  if (machine.shared_cores())
    return {cost.node_memory, usable_memory * static_cast<double>(machine.node_memory), "a node"};
  const Need device{cost.most_memory(), usable_memory * static_cast<double>(machine.device_memory), "a device"},
      host{cost.node_pinned, usable_memory * static_cast<double>(machine.node_memory), "a node for streamed layers"};
  return device.bytes <= device.there && host.bytes > host.there ? host : device;
}

std::string size_text(double bytes) {
  constexpr double mib = 1024.0 * 1024;
  return bytes >= 1024 * mib ? fmt::format("{:.1f} GiB", bytes / mib / 1024) : fmt::format("{:.0f} MiB", bytes / mib);
}

// Where a slower layout loses most, in words.
std::string loss(const Cost& cost, const Cost& best) {
  const StageTime& time = cost.stages[static_cast<std::size_t>(cost.bottleneck)].time;
  const double share = time.reduce / time.total();
  const std::tuple<double, std::string> causes[] = {
      {cost.imbalance, fmt::format("the slowest of {} stages takes {:.0f} % longer than the average",
                                   cost.layout.stages, 100 * cost.imbalance)},
      {share, fmt::format("sums over tensor shards{} take {:.0f} % of the time",
                          cost.groups_span_nodes ? " on different nodes" : "", 100 * share)},
      {cost.fill, fmt::format("{:.0f} % of the time goes by filling and draining the pipeline", 100 * cost.fill)},
      {cost.tail, fmt::format("{:.0f} % of the time some replicas have no shard left", 100 * cost.tail)},
      {cost.sharing - 1,
       fmt::format("ranks wait {:.0f} % of the time for cores they share", 100 * (1 - 1 / cost.sharing))},
      {time.copies / time.total(),
       fmt::format("{:.0f} % of the time waits for copies of streamed layers", 100 * time.copies / time.total())},
      {time.boundary / time.total(),
       fmt::format("stage boundaries take {:.0f} % of the time", 100 * time.boundary / time.total())}};
  const auto& [weight, words] = *std::max_element(std::begin(causes), std::end(causes));
  const double slower = 100 * (1 - cost.tokens_per_second / best.tokens_per_second);
  if (slower < 100 * alike)
    return cost.streams() && !best.streams() ? "as fast, but streams layers" : "as fast, but cut into more parts";
  const std::string text = fmt::format("{:.0f} % slower", slower);
  return weight > 0.005 ? text + ": " + words : text;
}

// Equally fast ones in the order of their cuts.
bool comes_first(const Candidate& a, const Candidate& b) {
  const Layout &x = a.cost.layout, &y = b.cost.layout;
  return std::tuple(a.cost.streams(), x.shards, x.stages) < std::tuple(b.cost.streams(), y.shards, y.stages);
}

}  // namespace

std::vector<Candidate> rank_layouts(const Demand& demand, const Machine& machine, int ranks) {
  std::vector<Candidate> candidates;
  for (const Layout& layout : all_layouts(demand.config, ranks)) {
    Candidate candidate{.cost = cost_of(demand, machine, layout), .fits = true, .reason = {}};
    const Need need = need_of(candidate.cost, machine);
    candidate.fits = need.bytes <= need.there;
    if (!candidate.fits)
      candidate.reason =
          fmt::format("needs {} on {}, {} there", size_text(need.bytes), need.where, size_text(need.there));
    candidates.push_back(std::move(candidate));
  }
  std::stable_sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    if (a.fits != b.fits) return a.fits;
    return a.fits ? a.cost.tokens_per_second > b.cost.tokens_per_second
                  : need_of(a.cost, machine).bytes < need_of(b.cost, machine).bytes;
  });
  const auto end = std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& one) {
    return !one.fits || one.cost.tokens_per_second < (1 - alike) * candidates.front().cost.tokens_per_second;
  });
  std::stable_sort(candidates.begin(), end, comes_first);
  for (std::size_t i = 1; i < candidates.size() && candidates[i].fits; ++i)
    candidates[i].reason = loss(candidates[i].cost, candidates.front().cost);
  return candidates;
}

Layout choose_layout(const Demand& demand, const Hosts& hosts) {
  const int ranks = std::accumulate(hosts.ranks.begin(), hosts.ranks.end(), 0),
            most = *std::max_element(hosts.ranks.begin(), hosts.ranks.end());
  Machine machine = hosts.gpu_memory > 0 ? ordinary_gpu(most) : ordinary_cpu(hosts.cores);
  machine.device_memory = hosts.gpu_memory;
  machine.nodes = (ranks + most - 1) / most;  // as if all hosts were like the fullest and the smallest
  machine.node_memory = *std::min_element(hosts.memory.begin(), hosts.memory.end());
  const std::vector<Candidate> candidates = rank_layouts(demand, machine, ranks);
  const Candidate& best = candidates.front();
  if (!best.fits)
    base::fail(base::Exit::config,
               fmt::format("the model does not fit {} ranks on {} hosts: even {} {}; start more ranks on more hosts",
                           ranks, hosts.ranks.size(), best.cost.layout.text(), best.reason));
  // Copies wherever they fit: a corpus of few shards is no reason to cut the model.
  const Layout copies{.data = ranks, .stages = 1, .shards = 1};
  const auto whole = std::find_if(candidates.begin(), candidates.end(),
                                  [&](const Candidate& one) { return one.cost.layout == copies; });
  return whole->fits && !whole->cost.streams() ? copies : best.cost.layout;
}

}  // namespace thresher::schedule
