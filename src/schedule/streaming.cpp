#include "schedule/streaming.h"

#include <algorithm>
#include <numeric>

namespace thresher::schedule {
namespace {

constexpr int under_way = 2;                               // batches on a GPU
constexpr double peak_seconds = 0.1, copy_seconds = 0.05;  // of measuring

// Of the blocks that a part holds, and of its head.
double flop_a_token(const model::ModelConfig& config, const model::Part& part) {
  const std::vector<double> halves = model::half_flops(config, model::typical_length);
  const double blocks = std::accumulate(halves.begin() + part.halves.first, halves.begin() + part.halves.last, 0.0);
  return (blocks + (model::scores(part, config) ? config.head_flops() : 0)) / part.shards;
}

// Without rates.
model::StreamDemand bare_demand(device::Device& device, const model::ModelConfig& config,
                                const model::StageOptions& options) {
  const model::Part& part = *options.part;
  model::StreamDemand demand{.layers = model::layer_bytes(config, part, options.dtype),
                             .flop = flop_a_token(config, part),
                             .tokens = options.capacity.tokens};
  const std::int64_t all = model::parameters(part, config) * tensor::size_of(options.dtype),
                     layers = std::accumulate(demand.layers.begin(), demand.layers.end(), std::int64_t{0});
  const std::int64_t free = device.free_bytes(),
                     room = free - model::spare_bytes(config, part, options.dtype, free) - (all - layers);
  demand.room = [&config, &options, room](std::int64_t tokens) {
    model::Capacity capacity = options.capacity;
    capacity.tokens = std::max(tokens, capacity.longest);
    return room - model::activation_bytes(config, *options.part, options.dtype, capacity, under_way);
  };
  return demand;
}

}  // namespace

std::optional<model::StreamDemand> stream_demand(device::Device& device, const model::ModelConfig& config,
                                                 const model::StageOptions& options) {
  model::StreamDemand demand = bare_demand(device, config, options);
  const auto plan = model::plan_stream(demand.layers, demand.room(demand.tokens), options.streaming);
  if (options.streaming == model::Streaming::off || (plan && plan->count() == 0)) return std::nullopt;
  demand.flops = device.measure_peak(options.dtype, peak_seconds);
  demand.copy = device.measure_bring(copy_seconds);
  return demand;
}

std::int64_t streamed_batch(const model::StreamDemand& demand, model::Streaming streaming) {
  const auto batch = model::plan_stream_batch(demand, streaming);
  return batch ? batch->tokens : demand.tokens;
}

}  // namespace thresher::schedule
