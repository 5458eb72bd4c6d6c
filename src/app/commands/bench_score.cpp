#include "app/commands/bench_score.h"

#include <algorithm>
#include <functional>
#include <random>

#include "app/commands/temporary_directory.h"
#include "thresher/base/clock.h"
#include "thresher/base/file.h"
#include "thresher/device/cuda.h"
#include "thresher/device/meter.h"
#include "thresher/device/tracing.h"
#include "thresher/model/transformer.h"

namespace thresher::app {
namespace {

constexpr double peak_seconds = 0.3;

// As many documents as the batch holds, of random tokens; all but each first token are scored.
model::PackedBatch random_batch(const BenchSettings& settings) {
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::int32_t> token(0, static_cast<std::int32_t>(settings.shape.vocabulary) - 1);
  const std::int64_t documents = std::max<std::int64_t>(1, settings.tokens_per_batch / settings.document);
  model::PackedBatch batch;
  for (std::int64_t d = 0; d < documents; ++d) {
    for (std::int64_t t = 0; t < settings.document; ++t) {
      const std::int32_t id = token(random);
      if (t > 0) {
        batch.scored_rows.push_back(static_cast<std::int32_t>(batch.ids.size()) - 1);
        batch.targets.push_back(id);
      }
      batch.ids.push_back(id);
    }
    batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
  }
  return batch;
}

double flops_of(const model::ModelConfig& config, const model::PackedBatch& batch) {
  double pairs = 0;
  for (std::size_t i = 0; i + 1 < batch.starts.size(); ++i) {
    const double length = batch.starts[i + 1] - batch.starts[i];
    pairs += length * (length + 1) / 2;
  }
  return config.block_flops() * static_cast<double>(batch.ids.size()) +
         config.head_flops() * static_cast<double>(batch.targets.size()) + config.attention_flops() * pairs;
}

// Products first, then the others, the longest first.
std::vector<TimeShare> time_shares(const device::TracingDevice& tracing, double head_products, double seconds) {
  double products = head_products, between = 1;
  std::vector<TimeShare> others;
  for (const device::StepCost& cost : tracing.steps()) {
    between -= cost.seconds / seconds;
    if (cost.step == "matmul") {
      products += cost.seconds;
    } else if (cost.step == "score") {
      others.push_back({"head beside its products", (cost.seconds - head_products) / seconds});
    } else {
      others.push_back({cost.step, cost.seconds / seconds});
    }
  }
  others.push_back({"between steps", between});
  std::ranges::stable_sort(others, std::greater<>(), &TimeShare::share);
  others.insert(others.begin(), {"products", products / seconds});
  return others;
}

}  // namespace

std::unique_ptr<device::Device> make_device(const BenchSettings& settings) {
  if (settings.gpu)
    return device::make_cuda_device(
        {.gpu = *settings.gpu, .threads = settings.threads, .algorithms = {}, .tune = true});
  return device::make_cpu_device({settings.threads});
}

ScoreSpeed measure_score(const BenchSettings& settings) {
  const TemporaryDirectory directory;
  base::FileSystem& files = base::real_files();
  model::make_model(files, directory.path(), settings.shape);
  const model::ModelConfig config = model::read_config(files, directory.path());
  const auto device = make_device(settings);
  device::TracingDevice tracing(*device);
  const model::PackedBatch batch = random_batch(settings);
  const auto rows = static_cast<std::int64_t>(batch.ids.size());
  model::StageOptions options{.dtype = settings.dtype,
                              .int8_head = settings.int8_head && settings.dtype == tensor::DType::i8,
                              .capacity = {.tokens = rows, .longest = settings.document}};
  options.part = model::whole(config);
  options.part->exact = !settings.gpu;  // as `score` does unless told
  model::Transformer transformer(tracing, files, directory.path(), config, options);
  model::ScoredTokens scored;
  transformer.score(batch, scored);

  ScoreSpeed speed;
  speed.peak = device->measure_peak(settings.dtype, peak_seconds);
  tracing.reset();
  const double head_before = tracing.score_time().products;
  const auto meter =
      settings.gpu ? device::watch_gpu(device::gpus().at(static_cast<std::size_t>(*settings.gpu)).uuid) : nullptr;
  const base::Stopwatch watch;
  std::int64_t batches = 0;
  device->count_use();
  do {
    if (transformer.full()) transformer.take(scored);
    transformer.begin(batch, {});
    ++batches;
  } while (watch.seconds() < settings.seconds);
  while (transformer.under_way() > 0) transformer.take(scored);
  const double seconds = watch.seconds();
  speed.use = device->use();
  const device::GpuUse use = meter ? meter->stop() : device::GpuUse{};
  if (use.energy) speed.joules_per_token = *use.energy / static_cast<double>(rows * batches);
  speed.utilisation = use.utilisation;
  if (settings.gpu) speed.allocated_peak = device::allocated_peak_of(*device);
  speed.peak = std::max(speed.peak, device->measure_peak(settings.dtype, peak_seconds));

  speed.time = time_shares(tracing, tracing.score_time().products - head_before, seconds);
  speed.tokens_per_second = static_cast<double>(rows * batches) / seconds;
  speed.flops_per_second = flops_of(config, batch) * static_cast<double>(batches) / seconds;
  speed.products_fraction = speed.time.front().share;
  speed.peak_fraction = speed.flops_per_second / speed.peak;
  return speed;
}

}  // namespace thresher::app
