#include "app/commands/plan_measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "app/commands/temporary_directory.h"
#include "thresher/base/clock.h"
#include "thresher/base/cores.h"
#include "thresher/base/machine.h"
#include "thresher/device/tracing.h"
#include "thresher/model/make_model.h"
#include "thresher/model/transformer.h"

namespace thresher::app {
namespace {

constexpr std::int64_t widest = 2048;       // wider models run at the same rates
constexpr std::int64_t vocabulary = 16384;  // as do larger heads
constexpr std::int64_t layers = 2;
constexpr std::int64_t sample_tokens = std::int64_t{1} << 16;  // of a batch
constexpr double copy_seconds = 0.05;
constexpr std::int64_t written_bytes = std::int64_t{16} << 20;

model::MakeModel sample_of(const model::ModelConfig& config) {
  model::MakeModel sample;
  const double scale = std::min(1.0, static_cast<double>(widest) / static_cast<double>(config.hidden));
  const auto scaled = [&](std::int64_t size) {
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(scale * static_cast<double>(size)));
  };
  sample.layers = layers;
  sample.head_size = config.head_size;
  sample.kv_heads = scaled(config.kv_heads);
  sample.query_heads = sample.kv_heads * std::max<std::int64_t>(1, scaled(config.query_heads) / sample.kv_heads);
  sample.hidden = std::min(config.hidden, widest);
  sample.intermediate = scaled(config.intermediate);
  sample.vocabulary = std::min(config.vocabulary, vocabulary);
  sample.positions = config.positions;
  sample.tied_head = true;
  return sample;
}

// Sequences of the corpus's typical length, every token but each first one scored.
model::PackedBatch batch_of(std::int64_t tokens, std::int64_t length, std::int64_t ids) {
  std::mt19937 random(1);
  model::PackedBatch batch;
  for (std::int64_t at = 0; at < tokens; ++at) {
    const auto id = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(ids));
    if (at % length != 0) {
      batch.scored_rows.push_back(static_cast<std::int32_t>(at) - 1);
      batch.targets.push_back(id);
    } else if (at > 0) {
      batch.starts.push_back(static_cast<std::int32_t>(at));
    }
    batch.ids.push_back(id);
  }
  batch.starts.push_back(static_cast<std::int32_t>(tokens));
  return batch;
}

// Bytes per second of one copy through memory, as ranks of one node exchange messages: in at one end, out at the other.
double measure_copies() {
  const std::size_t bytes = 8 << 20;
  std::vector<char> from(bytes, 1), middle(bytes), to(bytes);
  const base::Stopwatch watch;
  double copied = 0;
  do {
    std::memcpy(middle.data(), from.data(), bytes);
    std::memcpy(to.data(), middle.data(), bytes);
    from[0] = to[bytes - 1];
    copied += static_cast<double>(bytes);
  } while (watch.seconds() < copy_seconds);
  return copied / watch.seconds();
}

// A file as parts are written: synced.
double measure_writes(const base::Path& directory) {
  const std::vector<std::byte> bytes(written_bytes, std::byte{1});
  const base::Stopwatch watch;
  base::write_atomically(base::real_files(), directory / "part", bytes);
  return static_cast<double>(written_bytes) / watch.seconds();
}

struct Sample {
  double seconds = 0;  // of a batch
  std::map<std::string, double> steps;
};

// The quickest of the batches that fit the time: others share the machine.
Sample measure_batches(device::TracingDevice& device, model::Transformer& transformer, const model::PackedBatch& batch,
                       double seconds) {
  model::ScoredTokens scored;
  transformer.score(batch, scored);
  Sample best;
  const base::Stopwatch watch;
  int batches = 0;
  do {
    device.reset();
    const base::Stopwatch one;
    transformer.score(batch, scored);
    const double taken = one.seconds();
    ++batches;
    if (best.seconds > 0 && taken >= best.seconds) continue;
    best = {taken, {}};
    for (const device::StepCost& cost : device.steps()) best.steps[cost.step] = cost.seconds;
  } while (watch.seconds() < seconds || batches < 3);
  return best;
}

double double_of(std::int64_t value) {
  return static_cast<double>(value);
}

// Seconds of steps as rates, by the same counts as the cost model's.
void fill_rates(const model::ModelConfig& config, tensor::DType dtype, const model::PackedBatch& batch, Sample sample,
                schedule::Machine& machine) {
  const double tokens = double_of(static_cast<std::int64_t>(batch.ids.size())),
               scored = double_of(static_cast<std::int64_t>(batch.targets.size())), hidden = double_of(config.hidden),
               held = double_of(tensor::size_of(dtype));
  double pairs = 0;
  for (std::size_t i = 0; i + 1 < batch.starts.size(); ++i) {
    const double length = batch.starts[i + 1] - batch.starts[i];
    pairs += length * (length + 1) / 2;
  }
  const double heads = double_of((config.query_heads + config.kv_heads) * config.head_size);
  const double vectors = tokens * ((2 * layers + 1) * hidden * (4 + held) + layers * 2 * heads * 4 +
                                   layers * 3 * double_of(config.intermediate) * held) +
                         scored * hidden * (4 + held);
  double counted = 0;
  for (const char* step : {"matmul", "attend", "score"}) counted += sample.steps[step];
  const double rest = std::max(1e-9, sample.seconds - counted);
  machine.rates[std::string(tensor::name_of(dtype))] = {
      schedule::Curve(config.block_flops() * tokens / sample.steps["matmul"]),
      schedule::Curve(config.head_flops() * scored / sample.steps["score"]),
      schedule::Curve(config.attention_flops() * pairs / sample.steps["attend"])};
  machine.elementwise = vectors / rest;
}

}  // namespace

schedule::Machine measure_machine(const schedule::Demand& demand, double seconds) {
  schedule::Machine machine = schedule::ordinary_cpu(base::usable_cores());
  machine.name = fmt::format("{} ({} cores)", base::host_name(), machine.cores);
  machine.node_memory = base::machine_memory();

  const TemporaryDirectory directory;
  const model::MakeModel shape = sample_of(demand.config);
  base::FileSystem& files = base::real_files();
  model::make_model(files, directory.path() / "model", shape);
  const model::ModelConfig config = model::read_config(files, directory.path() / "model");
  const auto device = device::make_cpu_device({machine.cores});
  device::TracingDevice tracing(*device);
  const std::int64_t tokens =
      std::min(sample_tokens, demand.tokens_per_batch > 0 ? demand.tokens_per_batch : machine.tokens_per_batch);
  const auto typical = static_cast<std::int64_t>(demand.load.length());
  const model::PackedBatch batch =
      batch_of(tokens, std::clamp<std::int64_t>(typical, 2, std::min(tokens, config.positions)), config.vocabulary);
  model::Transformer transformer(
      tracing, files, directory.path() / "model", config,
      {.dtype = demand.dtype, .capacity = {.tokens = tokens, .longest = std::min(tokens, config.positions)}});
  fill_rates(config, demand.dtype, batch, measure_batches(tracing, transformer, batch, seconds), machine);
  machine.inside.bandwidth = measure_copies();
  machine.storage_write = measure_writes(directory.path());
  return machine;
}

}  // namespace thresher::app
