#include "thresher/model/streaming.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace thresher::model {
namespace {

constexpr std::int64_t reserve = 20;
constexpr std::int64_t trial_rows = 8192;
constexpr double alike = 0.01;              // speeds that differ by less are equal
constexpr std::int64_t largest_batch = 64;  // times the smallest
constexpr double step = 1.25;               // from one size that is tried to the next
constexpr std::int64_t unit = 256;          // tokens: whole tiles of products

// `count` of `all` layers, as even as can be.
std::vector<bool> spread(std::size_t count, std::size_t all) {
  std::vector<bool> chosen(all);
  for (std::size_t i = 0; i < all; ++i) chosen[i] = (i + 1) * count / all > i * count / all;
  return chosen;
}

StreamPlan plan_of(std::span<const std::int64_t> layers, std::size_t count) {
  StreamPlan plan{.streamed = spread(count, layers.size())};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!plan.streamed[i]) {
      plan.resident += layers[i];
      continue;
    }
    plan.bytes += layers[i];
    plan.slot = std::max(plan.slot, layers[i]);
  }
  return plan;
}

double seconds_a_token(const StreamDemand& demand, std::int64_t tokens, std::int64_t bytes) {
  return std::max(demand.flop / demand.flops, static_cast<double>(bytes) / (demand.copy * static_cast<double>(tokens)));
}

}  // namespace

int StreamPlan::count() const {
  return static_cast<int>(std::count(streamed.begin(), streamed.end(), true));
}

std::vector<std::int64_t> layer_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype) {
  const std::int64_t queries = query_heads(part, config).count() * config.head_size,
                     keys = kv_heads(part, config).count() * config.head_size, width = inner(part, config).count();
  const std::int64_t halves[] = {config.hidden * 2 * (queries + keys), config.hidden * 3 * width};
  std::vector<std::int64_t> layers(static_cast<std::size_t>((part.halves.last + 1) / 2 - part.halves.first / 2));
  for (std::int64_t half = part.halves.first; half < part.halves.last; ++half)
    layers[static_cast<std::size_t>(half / 2 - part.halves.first / 2)] += halves[half % 2] * tensor::size_of(dtype);
  return layers;
}

std::int64_t spare_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype, std::int64_t memory) {
  const std::int64_t element = tensor::size_of(dtype), both = 2 * inner(part, config).count();
  return std::max(memory / reserve, both * config.hidden * element + trial_rows * (config.hidden * element + both * 4));
}

std::optional<StreamPlan> plan_stream(std::span<const std::int64_t> layers, std::int64_t room, Streaming streaming) {
  const std::size_t first = streaming == Streaming::on ? layers.size() : 0,
                    last = streaming == Streaming::off ? 0 : layers.size();
  for (std::size_t count = first; count <= last; ++count)
    if (StreamPlan plan = plan_of(layers, count); plan.device_bytes() <= room) return plan;
  return std::nullopt;
}

std::optional<StreamBatch> plan_stream_batch(const StreamDemand& demand, Streaming streaming) {
  std::vector<StreamBatch> batches;
  double best = std::numeric_limits<double>::max();
  for (double size = 1; size <= largest_batch; size *= step) {
    std::int64_t tokens = demand.tokens;
    if (size > 1) tokens = static_cast<std::int64_t>(std::ceil(static_cast<double>(tokens) * size / unit)) * unit;
    auto plan = plan_stream(demand.layers, demand.room(tokens), streaming);
    if (!plan) break;
    if (batches.empty() && (plan->count() == 0 || demand.copy <= 0)) return StreamBatch{tokens, std::move(*plan)};
    best = std::min(best, seconds_a_token(demand, tokens, plan->bytes));
    batches.push_back({tokens, std::move(*plan)});
  }
  for (StreamBatch& batch : batches)
    if (seconds_a_token(demand, batch.tokens, batch.plan.bytes) <= (1 + alike) * best) return std::move(batch);
  return std::nullopt;
}

double waiting_share(const StreamDemand& demand, std::int64_t tokens, std::int64_t bytes) {
  if (bytes == 0 || demand.copy <= 0) return 0;
  return 1 - demand.flop / demand.flops / seconds_a_token(demand, tokens, bytes);
}

}  // namespace thresher::model
