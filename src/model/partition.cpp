#include "thresher/model/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "thresher/base/check.h"

namespace thresher::model {
namespace {

constexpr std::int64_t inner_unit = 16;  // columns: whole vectors in every instruction set

// `size` in virtual shards of whole units, the last unit as long as is left.
std::vector<std::int64_t> cut_evenly(std::int64_t size, std::int64_t unit) {
  const std::int64_t units = (size + unit - 1) / unit;
  std::vector<std::int64_t> cuts;
  for (int v = 0; v <= virtual_shards; ++v) cuts.push_back(std::min(size, units * v / virtual_shards * unit));
  return cuts;
}

Range range_of(const Part& part, const std::vector<std::int64_t>& cuts) {
  const Range held = held_shards(part);
  return {cuts[static_cast<std::size_t>(held.first)], cuts[static_cast<std::size_t>(held.last)]};
}

// The most half layers from `first` on that cost no more than `limit`.
std::int64_t reach(const std::vector<double>& costs, std::size_t first, double limit) {
  double cost = 0;
  std::size_t last = first;
  while (last < costs.size() && cost + costs[last] <= limit) cost += costs[last++];
  return static_cast<std::int64_t>(last - first);
}

// Whether `stages` stages can stay within the limit.
bool fits(const std::vector<double>& costs, int stages, double limit) {
  std::size_t first = 0;
  for (int stage = 0; stage < stages; ++stage) first += static_cast<std::size_t>(reach(costs, first, limit));
  return first == costs.size();
}

}  // namespace

Part whole(const ModelConfig& config) {
  return {.halves = {0, 2 * config.layers}};
}

bool embeds(const Part& part) {
  return part.halves.first == 0;
}

bool scores(const Part& part, const ModelConfig& config) {
  return part.halves.last == 2 * config.layers;
}

Range held_shards(const Part& part) {
  const std::int64_t each = virtual_shards / part.shards;
  return {part.shard * each, (part.shard + 1) * each};
}

std::vector<std::int64_t> query_head_cuts(const ModelConfig& config) {
  return cut_evenly(config.query_heads, 1);
}

std::vector<std::int64_t> inner_cuts(const ModelConfig& config) {
  return cut_evenly(config.intermediate, inner_unit);
}

std::vector<std::int64_t> vocabulary_cuts(const ModelConfig& config) {
  return cut_evenly(config.vocabulary, device::vocabulary_tile);
}

Range query_heads(const Part& part, const ModelConfig& config) {
  return range_of(part, query_head_cuts(config));
}

Range kv_heads(const Part& part, const ModelConfig& config) {
  const Range queries = query_heads(part, config);
  if (queries.count() == 0) return {};
  const std::int64_t group = config.query_heads / config.kv_heads;
  return {queries.first / group, (queries.last + group - 1) / group};
}

Range inner(const Part& part, const ModelConfig& config) {
  return range_of(part, inner_cuts(config));
}

Range vocabulary(const Part& part, const ModelConfig& config) {
  return range_of(part, vocabulary_cuts(config));
}

std::vector<std::int64_t> cuts_inside(const Part& part, std::span<const std::int64_t> cuts) {
  const Range held = held_shards(part);
  const std::int64_t start = cuts[static_cast<std::size_t>(held.first)];
  std::vector<std::int64_t> inside{0};
  for (std::int64_t v = held.first + 1; v <= held.last; ++v)
    if (part.exact || v == held.last) inside.push_back(cuts[static_cast<std::size_t>(v)] - start);
  return inside;
}

std::vector<double> half_flops(const ModelConfig& config, std::int64_t length) {
  const auto hidden = static_cast<double>(config.hidden), queries = static_cast<double>(config.query_heads),
             keys = static_cast<double>(config.kv_heads), size = static_cast<double>(config.head_size);
  const double seen = static_cast<double>(length) / 2;
  const double attention = 4 * hidden * (queries + keys) * size + 4 * queries * size * seen;
  const double mlp = 6 * hidden * static_cast<double>(config.intermediate);
  std::vector<double> halves;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) halves.insert(halves.end(), {attention, mlp});
  return halves;
}

std::vector<Range> cut_stages(const ModelConfig& config, int stages, std::int64_t length) {
  const std::int64_t halves = 2 * config.layers;
  if (stages > halves)
    base::fail(base::Exit::usage,
               fmt::format("{} pipeline stages, but the model has {} half layers: ask for fewer (pp)", stages, halves));
  std::vector<double> costs = half_flops(config, length);
  costs.back() += config.head_flops();
  // The best limit is the cost of some run of halves: try them all, shortest first.
  std::vector<double> limits;
  for (std::size_t first = 0; first < costs.size(); ++first)
    for (std::size_t last = first + 1; last <= costs.size(); ++last)
      limits.push_back(std::accumulate(costs.begin() + static_cast<std::ptrdiff_t>(first),
                                       costs.begin() + static_cast<std::ptrdiff_t>(last), 0.0));
  std::sort(limits.begin(), limits.end());
  const double limit =
      *std::partition_point(limits.begin(), limits.end(), [&](double one) { return !fits(costs, stages, one); });

  std::vector<Range> result;
  std::int64_t first = 0;
  for (int stage = 0; stage < stages; ++stage) {
    const std::int64_t later = stages - 1 - stage;  // each needs a half of its own
    const std::int64_t last = std::min(halves - later, first + reach(costs, static_cast<std::size_t>(first), limit));
    result.push_back({first, last});
    first = last;
  }
  return result;
}

std::int64_t parameters(const Part& part, const ModelConfig& config) {
  const std::int64_t queries = query_heads(part, config).count() * config.head_size,
                     keys = kv_heads(part, config).count() * config.head_size, width = inner(part, config).count();
  std::int64_t attention = config.hidden * (2 * queries + 2 * keys + 1), mlp = config.hidden * (3 * width + 1);
  if (config.qkv_bias) attention += queries + 2 * keys;
  if (config.output_bias) attention += config.hidden;
  if (config.mlp_bias) mlp += 2 * width + config.hidden;
  if (config.qk_norm) attention += 2 * config.head_size;
  const std::int64_t attentions = (part.halves.last + 1) / 2 - (part.halves.first + 1) / 2,
                     mlps = part.halves.last / 2 - part.halves.first / 2;
  const std::int64_t ids = vocabulary(part, config).count() * config.hidden;
  return attentions * attention + mlps * mlp + (embeds(part) ? ids : 0) +
         (scores(part, config) ? ids + config.hidden : 0);
}

}  // namespace thresher::model
