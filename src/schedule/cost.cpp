#include "thresher/schedule/cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "schedule/cost_memory.h"
#include "thresher/base/check.h"

namespace thresher::schedule {
namespace {

constexpr double nap = 0.5e-3;  // seconds, the mean

double as_double(std::int64_t value) {
  return static_cast<double>(value);
}

// Where the ranks of a layout stand: consecutive ranks share a node.
struct Placement {
  int ranks_per_node = 1, nodes = 1, threads = 1;
  bool groups_span = false, boundaries_span = false;
};

Placement place(const Machine& machine, const Layout& layout) {
  const int ranks = layout.ranks();
  Placement placement;
  placement.ranks_per_node = (ranks + machine.nodes - 1) / machine.nodes;
  placement.nodes = (ranks + placement.ranks_per_node - 1) / placement.ranks_per_node;
  placement.threads = std::max(1, machine.cores / placement.ranks_per_node);
  const auto node = [&](int rank) { return rank / placement.ranks_per_node; };
  for (int group = 0; group < ranks; group += layout.shards) {
    const int stage = group / layout.shards % layout.stages;
    placement.groups_span |= node(group) != node(group + layout.shards - 1);
    if (stage + 1 < layout.stages) placement.boundaries_span |= node(group) != node(group + layout.shards);
  }
  return placement;
}

// The speed of one rank.
class Speed {
 public:
  Speed(const Demand& demand, const Machine& machine, const Layout& layout, const Placement& placement)
      : machine_(machine), rates_(rates_of(machine, demand.dtype)), shards_(layout.shards) {
    // Ranks take their share of a CPU node's cores; a GPU belongs to one rank.
    share_ = machine.shared_cores()
                 ? std::min(1.0 * machine.devices, 1.0 * placement.threads * machine.devices / machine.cores)
                 : 1.0;
    const double width = as_double(demand.config.hidden), length = std::max(1.0, demand.load.length());
    const double efficiency =
        machine.shard_efficiency[static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(layout.shards)))];
    products_ = share_ * efficiency * rates_.layers.at(width);
    head_ = share_ * (demand.int8_head ? rates_.layers : rates_.head).at(width);
    attention_ = share_ * rates_.attention.at(length) * (demand.config.head_size <= 64 ? machine.narrow_heads : 1);
    elementwise_ = share_ * machine.elementwise;
    group_ = placement.groups_span ? machine.between : machine.inside;
    // Ranks without a core of their own give it up while they wait for a sum, and nap.
    if (machine.shared_cores() && placement.ranks_per_node > machine.cores) group_.latency += nap;
    boundary_ = placement.boundaries_span ? machine.between : machine.inside;
  }

  double products(double flop) const { return flop / products_; }
  double head(double flop) const { return flop / head_; }
  double attention(double flop) const { return flop / attention_; }
  // A part of the vector steps is done by every shard.
  double elementwise(double bytes) const { return bytes * (0.7 / shards_ + 0.3) / elementwise_; }
  double reduce(double bytes) const {
    if (shards_ == 1) return 0;
    if (machine_.shared_cores()) return std::log2(shards_) * (group_.latency + bytes / group_.bandwidth);
    return group_.latency + 2.0 * (shards_ - 1) / shards_ * bytes / group_.bandwidth;
  }
  double boundary(double bytes) const { return boundary_.latency + bytes / boundary_.bandwidth; }

 private:
  const Machine& machine_;
  const Rates& rates_;
  const double shards_;
  double share_, products_, head_, attention_, elementwise_;
  Link group_, boundary_;
};

// One batch through one stage.
class StageClock {
 public:
  StageClock(const Demand& demand, const Machine& machine, const Speed& speed)
      : config_(demand.config),
        machine_(machine),
        speed_(speed),
        tokens_(as_double(demand.tokens_per_batch > 0 ? demand.tokens_per_batch : machine.tokens_per_batch)),
        scored_(demand.load.fed > 0 ? tokens_ * demand.load.scored / demand.load.fed : tokens_),
        keys_(demand.load.fed > 0 ? demand.load.keys / demand.load.fed : 0),
        held_(as_double(tensor::size_of(demand.dtype))) {}

  double tokens() const { return tokens_; }
  double scored() const { return scored_; }

  StageTime time(const model::Part& part) const {
    StageTime time;
    for (std::int64_t half = part.halves.first; half < part.halves.last; ++half)
      half % 2 == 0 ? attention_half(part, half / 2, time) : mlp_half(part, time);
    time.elementwise += as_double(part.halves.count()) * machine_.batch_overhead;
    const double width = as_double(config_.hidden), ends = tokens_ * width * (machine_.exchange_bytes + held_);
    if (model::embeds(part)) {
      time.elementwise += speed_.elementwise(ends);
      time.reduce += speed_.reduce(exchanged());
    }
    if (model::scores(part, config_)) {
      time.head = speed_.head(scored_ * 2 * width * as_double(model::vocabulary(part, config_).count()));
      time.elementwise += speed_.elementwise(ends * scored_ / tokens_);
      time.reduce += speed_.reduce(12 * scored_);  // a maximum, a sum and the target's logit
    }
    add_boundaries(part, time);
    return time;
  }

 private:
  double exchanged() const { return tokens_ * as_double(config_.hidden) * machine_.exchange_bytes; }

  void norm(StageTime& time) const {
    time.elementwise += speed_.elementwise(tokens_ * as_double(config_.hidden) * (machine_.exchange_bytes + held_));
  }

  void attention_half(const model::Part& part, std::int64_t layer, StageTime& time) const {
    const double queries = as_double(model::query_heads(part, config_).count() * config_.head_size),
                 keys = as_double(model::kv_heads(part, config_).count() * config_.head_size);
    const auto limit = as_double(config_.window.empty() ? 0 : config_.window[static_cast<std::size_t>(layer)]);
    const double seen = limit > 0 ? std::min(limit, keys_) : keys_;
    time.products += speed_.products(tokens_ * 4 * as_double(config_.hidden) * (queries + keys));
    time.attention += speed_.attention(tokens_ * 4 * queries * seen);
    // Every shard's rotation is of its own heads alone.
    time.elementwise += speed_.elementwise(tokens_ * 2 * machine_.exchange_bytes *
                                           as_double((config_.query_heads + config_.kv_heads) * config_.head_size));
    norm(time);
    time.reduce += speed_.reduce(exchanged());
  }

  void mlp_half(const model::Part& part, StageTime& time) const {
    const double inner = as_double(model::inner(part, config_).count());
    time.products += speed_.products(tokens_ * 6 * as_double(config_.hidden) * inner);
    time.elementwise += speed_.elementwise(tokens_ * 3 * as_double(config_.intermediate) * held_);
    norm(time);
    time.reduce += speed_.reduce(exchanged());
  }

  // A CPU's cores copy what is sent and received; a GPU's copies run beside its work.
  void add_boundaries(const model::Part& part, StageTime& time) const {
    const int ends = (model::embeds(part) ? 0 : 1) + (model::scores(part, config_) ? 0 : 1);
    if (ends == 0) return;
    const double one = speed_.boundary(exchanged());
    time.boundary = machine_.shared_cores() ? ends * one : std::max(0.0, one - time.total());
  }

  const model::ModelConfig& config_;
  const Machine& machine_;
  const Speed& speed_;
  const double tokens_, scored_, keys_, held_;
};

// Of each GPU of a node whose ranks copy all at once.
double copy_rate(const Machine& machine, int ranks_per_node) {
  return std::min(machine.copy, machine.copy_node / ranks_per_node);
}

// Tokens that hide the copies of streamed layers, on the stage that needs most of them; the demand's where none has to
// be streamed, or where it says how many.
std::int64_t streamed_batch(const Demand& demand, const Machine& machine, const StageClock& clock,
                            const std::vector<RankPlace>& ranks) {
  std::int64_t most = batch_tokens(demand, machine);
  if (machine.copy <= 0 || demand.tokens_per_batch > 0) return most;
  for (const RankPlace& rank : ranks) {
    model::StreamDemand stream = stream_demand(demand, machine, rank);
    stream.flop = clock.time(rank.part).total() / clock.tokens();  // at one "FLOP" a second
    stream.flops = 1;
    stream.copy = copy_rate(machine, rank.local);
    if (const auto batch = model::plan_stream_batch(stream, demand.streaming)) most = std::max(most, batch->tokens);
  }
  return most;
}

// The rank of a tensor group that does and holds most. The first has an uneven cut's smaller pieces, so look at all.
StageCost stage_cost(const Demand& demand, const Machine& machine, const StageClock& clock, RankPlace rank) {
  StageCost cost;
  cost.halves = rank.part.halves;
  for (int shard = 0; shard < rank.part.shards; ++shard) {
    RankPlace one = rank;
    one.part.shard = shard;
    one.reads = rank.reads && shard == 0;
    one.gathers = shard == 0 ? rank.gathers : 0;
    StageTime time = clock.time(one.part);
    const Memory memory = memory_of(demand, machine, one);
    if (memory.pinned > 0) time.copies = std::max(0.0, memory.pinned / copy_rate(machine, rank.local) - time.total());
    if (shard == 0 || time.total() > cost.time.total()) cost.time = time;
    if (shard == 0 || memory.total() > cost.memory.total()) cost.memory = memory;
    cost.shards.push_back(memory);
  }
  return cost;
}

// Core seconds that one batch takes of the fullest node: ranks that share cores wait for each other.
double core_seconds(const Cost& cost, const Machine& machine, const Layout& layout, const Placement& placement,
                    double tokens) {
  const double encode = machine.tokenize > 0 ? tokens / machine.tokenize : 0;
  double most = 0;
  for (int node = 0; node < std::min(placement.nodes, layout.stages); ++node) {
    double sum = 0;
    for (int rank = node * placement.ranks_per_node;
         rank < std::min(layout.ranks(), (node + 1) * placement.ranks_per_node); ++rank) {
      const int stage = rank / layout.shards % layout.stages;
      if (machine.shared_cores()) sum += placement.threads * cost.stages[static_cast<std::size_t>(stage)].time.total();
      if (stage == 0 && rank % layout.shards == 0) sum += encode;
    }
    most = std::max(most, sum);
  }
  return most;
}

// The shares of the job's time that filling the pipeline and the uneven end take.
void add_ends(const Demand& demand, const StageClock& clock, Cost& cost) {
  const double batches = demand.load.fed / clock.tokens() / cost.layout.data;  // of a replica
  if (batches <= 0) return;
  const double fill = (cost.layout.stages - 1) * cost.batch_seconds, work = batches * cost.batch_seconds;
  cost.fill = fill / (fill + work);
  if (cost.layout.data == 1) return;
  const double shards = cost.shards / cost.layout.data;  // of a replica
  const double lost = 0.35 * std::log2(cost.layout.data);
  cost.tail = std::max(1 - shards / std::ceil(shards), lost / (lost + shards));
}

// Every replica reads the model, or the first one does and passes it on along a binomial tree: whatever is sooner.
double load_seconds(const Machine& machine, const Cost& cost) {
  double model = 0, part = 0;
  for (const StageCost& stage : cost.stages) {
    model += stage.memory.weights * cost.layout.shards;
    part = std::max(part, stage.memory.weights);
  }
  const double replicas = cost.layout.data, all = model * replicas;
  const double each = std::max(all / machine.storage_read, all / cost.nodes / machine.storage_read_node);
  const double nodes = std::max(1.0, std::floor(cost.nodes / replicas));  // of one replica
  const double first = std::max(model / machine.storage_read, model / nodes / machine.storage_read_node);
  const Link& link = cost.nodes > 1 ? machine.between : machine.inside;
  return std::min(each, first + std::ceil(std::log2(replicas)) * (link.latency + part / link.bandwidth));
}

void add_totals(const Demand& demand, const Machine& machine, const StageClock& clock, Cost& cost) {
  const double replica = clock.scored() / cost.batch_seconds;
  cost.tokens_per_second = cost.layout.data * replica * (1 - cost.fill) * (1 - cost.tail);
  cost.output_bytes = output_bytes(demand);
  if (cost.output_bytes > 0 && demand.load.scored > 0) {
    const double writers = output_mode(cost.output_bytes) == OutputMode::sharded ? cost.nodes : 1;
    cost.output_limit = writers * machine.storage_write * demand.load.scored / cost.output_bytes;
    cost.tokens_per_second = std::min(cost.tokens_per_second, cost.output_limit);
  }
  cost.seconds = demand.load.scored / cost.tokens_per_second;
  cost.load_seconds = load_seconds(machine, cost);
  const double devices = machine.shared_cores() ? 1.0 * cost.nodes * machine.devices : cost.layout.ranks();
  const double busy = cost.seconds + cost.load_seconds;
  cost.joules = busy * (devices * machine.device_watts + cost.nodes * machine.node_watts);
  cost.price = busy / 3600 * cost.nodes * machine.price;
}

double node_pinned(const Cost& cost, const Layout& layout, const Placement& placement) {
  double sum = 0;
  for (int rank = 0; rank < std::min(layout.ranks(), placement.ranks_per_node); ++rank)
    sum += cost.stages[static_cast<std::size_t>(rank / layout.shards % layout.stages)].memory.pinned;
  return sum;
}

// All ranks of the fullest node. The first replica's, then any other's: rank zero's node holds most.
double node_memory(const Cost& cost, const Layout& layout, const Placement& placement) {
  double sum = cost.stages.front().memory.gather;
  for (int rank = 0; rank < std::min(layout.ranks(), placement.ranks_per_node); ++rank)
    sum += cost.stages[static_cast<std::size_t>(rank / layout.shards % layout.stages)].group_memory() / layout.shards;
  return sum;
}

}  // namespace

double StageCost::group_memory() const {
  return std::accumulate(shards.begin(), shards.end(), 0.0,
                         [](double sum, const Memory& shard) { return sum + shard.total() - shard.gather; });
}

double Cost::most_memory() const {
  double most = 0;
  for (const StageCost& stage : stages) most = std::max(most, stage.memory.total());
  return most;
}

Cost cost_of(const Demand& demand, const Machine& machine, const Layout& layout) {
  if (layout.data < 1 || layout.shards < 1 || model::virtual_shards % layout.shards != 0)
    base::fail(base::Exit::usage, fmt::format("layout {}: tp has to be 1, 2, 4 or 8", layout.text()));
  const Placement placement = place(machine, layout);
  const Speed speed(demand, machine, layout, placement);
  const StageClock clock(demand, machine, speed);
  Cost cost;
  cost.layout = layout;
  cost.nodes = placement.nodes;
  cost.ranks_per_node = placement.ranks_per_node;
  cost.groups_span_nodes = placement.groups_span;
  cost.batch_tokens = clock.tokens();
  cost.shards = shard_size(demand).count;
  std::vector<RankPlace> ranks;
  for (const model::Range& halves : model::cut_stages(demand.config, layout.stages))
    ranks.push_back({.part = {.halves = halves, .shard = 0, .shards = layout.shards},
                     .threads = placement.threads,
                     .local = placement.ranks_per_node,
                     .reads = halves.first == 0,
                     .gathers = halves.first == 0 ? layout.data : 0});
  if (const std::int64_t tokens = streamed_batch(demand, machine, clock, ranks);
      tokens > batch_tokens(demand, machine)) {
    Demand larger = demand;
    larger.tokens_per_batch = tokens;
    return cost_of(larger, machine, layout);
  }
  for (const RankPlace& rank : ranks) cost.stages.push_back(stage_cost(demand, machine, clock, rank));
  double slowest = 0, sum = 0;
  for (std::size_t stage = 0; stage < cost.stages.size(); ++stage) {
    const double seconds = cost.stages[stage].time.total();
    sum += seconds;
    if (seconds > slowest) cost.bottleneck = static_cast<int>(stage);
    slowest = std::max(slowest, seconds);
  }
  cost.imbalance = slowest * layout.stages / sum - 1;
  cost.batch_seconds =
      std::max(slowest, core_seconds(cost, machine, layout, placement, clock.tokens()) / machine.cores);
  cost.sharing = cost.batch_seconds / slowest;
  cost.node_memory = node_memory(cost, layout, placement);
  cost.node_pinned = node_pinned(cost, layout, placement);
  add_ends(demand, clock, cost);
  add_totals(demand, machine, clock, cost);
  return cost;
}

}  // namespace thresher::schedule
