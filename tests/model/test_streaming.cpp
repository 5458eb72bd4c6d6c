#include <boost/test/unit_test.hpp>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>

#include "model/expected_scores.h"
#include "model/naive_device.h"
#include "model/refusal.h"
#include "thresher/device/tracing.h"
#include "thresher/model/streaming.h"
#include "thresher/model/transformer.h"

namespace thresher::model::test {
namespace {

using base::Exit;
using device::Residence;
using tensor::DType;
using tensor::Tensor;

ModelConfig large(const char* name) {
  std::ifstream file(std::string(THRESHER_SOURCE_DIR "/configs/models/") + name);
  std::stringstream text;
  text << file.rdbuf();
  return parse_config(text.str(), name);
}

// A device with little memory of its own for weights, that knows where each of them is.
class SmallDevice : public device::TracingDevice {
 public:
  SmallDevice(device::Device& inner, std::int64_t memory) : TracingDevice(inner), free_(memory) {}

  bool host_memory() const override { return false; }
  std::int64_t free_bytes() override { return free_; }
  std::unique_ptr<device::Weight> pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                                       Residence residence) override {
    auto weight = TracingDevice::pack(matrix, dtype, cuts, residence);
    if (residence == Residence::host) away_.insert(weight.get());
    return weight;
  }
  void make_slots(std::int64_t bytes) override { slot_bytes_ = bytes; }
  void bring(std::span<device::Weight* const> weights, int slot) override {
    std::int64_t bytes = 0;
    for (const device::Weight* weight : weights) {
      BOOST_TEST(away_.contains(weight));
      bytes += weight->bytes();
    }
    BOOST_TEST(bytes <= slot_bytes_);
    slots_[slot] = {weights.begin(), weights.end()};
    ++brought;
  }
  void matmul(const Tensor& x, const device::Weight& weight, const Tensor& bias, bool accumulate,
              const Tensor& out) override {
    if (away_.contains(&weight)) {
      BOOST_TEST((slots_[0].contains(&weight) || slots_[1].contains(&weight)));
      ++used;
    }
    TracingDevice::matmul(x, weight, bias, accumulate, out);
  }

  int brought = 0, used = 0;

 private:
  std::int64_t free_, slot_bytes_ = 0;
  std::set<const device::Weight*> away_, slots_[2];
};

const PackedBatch batch{{0, 70, 90, 300, 17}, {0, 5}, {0, 1, 2, 3}, {70, 90, 300, 17}};

struct Loaded {
  LoadReport report;
  std::vector<float> logprob;
  int brought = 0, used = 0;
};

// Three batches through a part that is the whole model.
Loaded load(const base::Path& directory, std::int64_t memory, Streaming streaming) {
  const auto inner = make_naive_device();
  SmallDevice device(*inner, memory);
  const ModelConfig config = read_config(base::real_files(), directory);
  StageOptions options{.dtype = DType::f32, .capacity = {8, 8, 0}};
  options.streaming = streaming;
  Transformer model(device, base::real_files(), directory, config, options);
  Loaded loaded;
  loaded.report = model.load_report();
  ScoredTokens scores;
  for (int i = 0; i < 3; ++i) {
    model.score(batch, scores);
    loaded.logprob.insert(loaded.logprob.end(), scores.logprob.begin(), scores.logprob.end());
  }
  loaded.brought = device.brought;
  loaded.used = device.used;
  return loaded;
}

constexpr std::int64_t plenty = std::int64_t{1} << 40;

}  // namespace

BOOST_AUTO_TEST_SUITE(streaming)

BOOST_AUTO_TEST_CASE(as_few_layers_as_fit_evenly) {
  const std::vector<std::int64_t> layers(10, 100);
  const auto counts = [&](std::int64_t room) { return plan_stream(layers, room, Streaming::automatic)->count(); };
  BOOST_TEST(counts(1000) == 0);
  BOOST_TEST(counts(999) == 3);  // seven stay, two slots
  BOOST_TEST(counts(899) == 4);
  BOOST_TEST(counts(200) == 10);
  BOOST_TEST(!plan_stream(layers, 199, Streaming::automatic));
  const auto plan = plan_stream(layers, 700, Streaming::automatic);
  BOOST_TEST(plan->count() == 5);
  BOOST_TEST((plan->streamed == std::vector<bool>{false, true, false, true, false, true, false, true, false, true}));
  BOOST_TEST(plan->resident == 500);
  BOOST_TEST(plan->bytes == 500);
  BOOST_TEST(plan->device_bytes() == 700);
  BOOST_TEST(plan_stream(layers, 5000, Streaming::on)->count() == 10);
  BOOST_TEST(!plan_stream(layers, 999, Streaming::off));
  BOOST_TEST(plan_stream(layers, 1000, Streaming::off)->count() == 0);
}

BOOST_AUTO_TEST_CASE(bytes_are_those_of_the_part) {
  const ModelConfig config = large("llama-70b.json");
  const auto layers = layer_bytes(config, whole(config), DType::bf16);
  BOOST_TEST(layers.size() == 80U);
  const std::int64_t all = std::accumulate(layers.begin(), layers.end(), std::int64_t{0});
  BOOST_TEST(all == 2 * config.layers * config.block_parameters());
  const Part part{.halves = {3, 8}, .shard = 1, .shards = 2};  // an MLP, and two whole layers
  const auto some = layer_bytes(config, part, DType::bf16);
  BOOST_TEST(some.size() == 3U);
  BOOST_TEST(some[0] == 3 * config.hidden * config.intermediate);
  BOOST_TEST(some[1] == layers[0] / 2);
}

// T = w F / (2 B): 13,000 tokens at 650 TFLOP/s and 50 GB/s.
BOOST_AUTO_TEST_CASE(batches_grow_until_copies_hide) {
  const ModelConfig config = large("llama-405b.json");
  StreamDemand demand{.layers = layer_bytes(config, whole(config), DType::bf16)};
  demand.flop = config.block_flops();
  demand.flops = 650e12;
  demand.copy = 50e9;
  demand.tokens = 4096;
  demand.room = [](std::int64_t tokens) { return (std::int64_t{72} << 30) - tokens * 700'000; };
  const auto batch = plan_stream_batch(demand, Streaming::automatic);
  BOOST_TEST(batch->tokens > 11000);
  BOOST_TEST(batch->tokens < 14500);
  BOOST_TEST(batch->plan.count() > 115);
  BOOST_TEST(waiting_share(demand, batch->tokens, batch->plan.bytes) < 0.02);
  BOOST_TEST(waiting_share(demand, 4096, batch->plan.bytes) > 0.6);
  demand.copy = 25e9;
  BOOST_TEST(plan_stream_batch(demand, Streaming::automatic)->tokens > 22000);
  // Activations that leave no room for larger batches.
  demand.room = [](std::int64_t tokens) { return tokens > 5000 ? 0 : std::int64_t{20} << 30; };
  BOOST_TEST(plan_stream_batch(demand, Streaming::automatic)->tokens <= 5120);
  demand.room = [](std::int64_t) { return plenty; };
  BOOST_TEST(plan_stream_batch(demand, Streaming::automatic)->tokens == 4096);
  demand.room = [](std::int64_t) { return 0; };
  BOOST_TEST(!plan_stream_batch(demand, Streaming::automatic));
}

BOOST_AUTO_TEST_CASE(layers_come_and_go_in_time) {
  const base::Path model = THRESHER_SOURCE_DIR "/data/model";
  const Loaded all = load(model, plenty, Streaming::automatic);
  BOOST_TEST(all.report.layers == 4);
  BOOST_TEST(all.report.streamed_layers == 0);
  BOOST_TEST(all.brought == 0);
  const ModelConfig config = read_config(base::real_files(), model);
  const auto layers = layer_bytes(config, whole(config), DType::f32);
  const std::int64_t spare = spare_bytes(config, whole(config), DType::f32, 0);
  for (const int streamed : {3, 4}) {
    const Loaded some = load(model, spare + (6 - streamed) * layers[0] + 1000, Streaming::automatic);
    BOOST_TEST(some.report.streamed_layers == streamed);
    BOOST_TEST(some.brought == 2 + 3 * streamed);
    BOOST_TEST(some.used == 3 * 4 * streamed);
    BOOST_TEST(some.logprob == all.logprob, boost::test_tools::per_element());
  }
  BOOST_TEST(load(model, plenty, Streaming::on).report.streamed_layers == 4);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused_with_numbers) {
  const base::Path model = THRESHER_SOURCE_DIR "/data/model";
  check_refusal([&] { load(model, 1 << 20, Streaming::automatic); }, Exit::config, "not even two layers fit");
  // One matrix of 1 MiB, and 8192 rows of 256 and 1024 numbers.
  check_refusal(
      [&] { load(model, 49 << 20, Streaming::off); }, Exit::config,
      "the 4 layers do not fit, and --stream-layers is off: 9.00 MiB are needed on the GPU, 8.00 MiB are left");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace thresher::model::test
