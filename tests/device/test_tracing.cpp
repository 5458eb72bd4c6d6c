#include "thresher/device/tracing.h"

#include <boost/test/unit_test.hpp>
#include <numeric>

#include "device/device_contract.h"
#include "device/grid.h"
#include "thresher/device/bench.h"

namespace thresher::device {
namespace {

BOOST_AUTO_TEST_SUITE(tracing)

BOOST_AUTO_TEST_CASE(pairs_of_causal_attention) {
  const auto counted = [](const std::vector<std::int64_t>& lengths, std::int64_t window) {
    double pairs = 0;
    for (const std::int64_t length : lengths)
      for (std::int64_t t = 0; t < length; ++t) pairs += static_cast<double>(window ? std::min(window, t + 1) : t + 1);
    return pairs;
  };
  for (const std::int64_t window : {0, 1, 3, 7, 100})
    BOOST_TEST(attended_pairs({1, 7, 30}, window) == counted({1, 7, 30}, window));
}

BOOST_AUTO_TEST_CASE(passes_the_contract_and_counts) {
  const auto cpu = make_cpu_device({.threads = 1});
  TracingDevice device(*cpu);
  contract::check_attend(device);
  BOOST_TEST(device.kind() == "cpu");
  device.reset();
  std::mt19937_64 generator(1);
  contract::Grid x(device, DType::f32, 5, 16), out(device, DType::f32, 5, 8);
  x.random(generator);
  std::vector<float> matrix(8 * 16, 1);
  const auto weight = device.pack(tensor::matrix(matrix.data(), DType::f32, 8, 16), DType::f32);
  int outputs = 0;
  device.dump_to([&](const std::string& step, std::int64_t call, const Tensor& output) {
    BOOST_TEST(step == "matmul");
    BOOST_TEST(call == outputs++);
    BOOST_TEST(output.data == out.view().data);
  });
  for (int i = 0; i < 3; ++i) device.matmul(x.view(), *weight, {}, false, out.view());
  BOOST_TEST(outputs == 3);
  const std::vector<StepCost> steps = device.steps();
  const auto products =
      std::find_if(steps.begin(), steps.end(), [](const StepCost& cost) { return cost.step == "matmul"; });
  BOOST_REQUIRE((products != steps.end()));
  BOOST_TEST(products->calls == 3);
  BOOST_TEST(products->flop == 3.0 * 2 * 5 * 16 * 8);
  BOOST_TEST(products->bytes == 3.0 * (5 * 16 * 4 + static_cast<double>(weight->bytes()) + 5 * 8 * 4));
  BOOST_TEST(products->seconds > 0);
}

// Products and their gate are two steps in the account, whether the device does them as one or not; a dump sees both.
BOOST_AUTO_TEST_CASE(products_and_gate_are_counted_apart) {
  const auto cpu = make_cpu_device({.threads = 2});
  TracingDevice device(*cpu);
  contract::check_matmul_gate(device);
  for (const std::int64_t width : {128, 100}) {
    std::mt19937_64 generator(1);
    contract::Grid x(device, DType::f32, 50, 16), wide(device, DType::f32, 50, 2 * width),
        out(device, DType::f32, 50, width);
    x.random(generator);
    std::vector<float> matrix(static_cast<std::size_t>(2 * width * 16), 1);
    const auto weight = device.pack(tensor::matrix(matrix.data(), DType::f32, 2 * width, 16), DType::f32);
    device.reset();
    device.dump_to(nullptr);
    const auto run = [&] { device.matmul_gate(x.view(), *weight, {}, Activation::silu, wide.view(), out.view()); };
    run();
    const std::vector<StepCost> steps = device.steps();
    BOOST_TEST(steps.size() == 2u);
    for (const StepCost& step : steps) {
      BOOST_TEST(step.calls == 1);
      BOOST_TEST(step.seconds > 0);
      BOOST_TEST(step.flop == (step.step == "matmul" ? 2.0 * 50 * 16 * 2 * static_cast<double>(width) : 0.0));
    }
    std::vector<std::string> seen;
    device.dump_to([&](const std::string& step, std::int64_t call, const Tensor& output) {
      BOOST_TEST(call == 1);
      BOOST_TEST(output.data == (step == "matmul" ? wide : out).view().data);
      seen.push_back(step);
    });
    run();
    BOOST_TEST((seen == std::vector<std::string>{"matmul", "gate"}));
  }
}

BOOST_AUTO_TEST_CASE(bench_accounts_for_every_step) {
  const auto cpu = make_cpu_device({.threads = 1});
  const BenchShape shape{.layers = 2,
                         .width = 64,
                         .inner = 96,
                         .query_heads = 4,
                         .kv_heads = 2,
                         .head_size = 16,
                         .vocabulary = 300,
                         .tokens = 70,
                         .sequence_length = 32};
  const BenchReport report = bench_steps(*cpu, shape, DType::bf16, 0.001);
  double layers = 2.0 * 70 * (64.0 * 128 + 64.0 * 64 + 3 * 64.0 * 96) + 4.0 * 64 * attended_pairs({32, 32, 6}, 0);
  BOOST_TEST(report.flop() == 2 * layers + 2.0 * 70 * 64 * 300);
  BOOST_TEST(report.rows.size() == 12);
  for (const BenchRow& row : report.rows) BOOST_TEST(row.seconds > 0, row.step);
  BOOST_TEST(report.product_seconds() < report.seconds());
  BOOST_TEST(report.peak > 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device
