// Prints each device step's speed at a model's shape: device_bench [1b|small|stories260k|tiny] [bf16|f32] [threads]
// [seconds per step]
#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <string>

#include "thresher/device/bench.h"

namespace {

using thresher::device::BenchShape;

const std::map<std::string, BenchShape> shapes = {
    {"1b", {16, 2048, 8192, 32, 8, 64, 128256, 2048, 512}},
    {"small", {6, 288, 768, 6, 6, 48, 32000, 2048, 512}},
    {"stories260k", {5, 64, 172, 8, 4, 8, 512, 1024, 200}},
    {"tiny", {4, 128, 352, 4, 4, 32, 4096, 1024, 100}},
};

}  // namespace

int main(int count, char** arguments) {
  using namespace thresher;
  const auto argument = [&](int i, const char* otherwise) { return std::string(count > i ? arguments[i] : otherwise); };
  const BenchShape shape = shapes.at(argument(1, "1b"));
  const tensor::DType dtype = argument(2, "bf16") == "f32" ? tensor::DType::f32 : tensor::DType::bf16;
  const auto device = device::make_cpu_device({.threads = std::stoi(argument(3, "2"))});
  const device::BenchReport report = device::bench_steps(*device, shape, dtype, std::stod(argument(4, "0.2")));
  fmt::print("{} {}, {} threads, peak {:.0f} GFLOP/s\n", device->kind(), device->isa(), device->threads(),
             report.peak / 1e9);
  fmt::print("{:<16}{:>6}{:>12}{:>12}{:>10}{:>8}{:>8}\n", "step", "calls", "us a call", "GFLOP/s", "GB/s", "peak",
             "time");
  for (const device::BenchRow& row : report.rows)
    fmt::print("{:<16}{:>6}{:>12.1f}{:>12.1f}{:>10.1f}{:>7.1f}%{:>7.1f}%\n", row.step, row.calls, row.seconds * 1e6,
               row.flop / row.seconds / 1e9, row.bytes / row.seconds / 1e9, 100 * row.peak_share,
               100 * row.seconds * static_cast<double>(row.calls) / report.seconds());
  fmt::print(
      "a batch of {} tokens: {:.1f} ms, {:.0f} tokens/s, {:.1f} % of peak, products {:.1f} % of the time (score: "
      "{:.1f} % of its own)\n",
      shape.tokens, report.seconds() * 1e3, static_cast<double>(shape.tokens) / report.seconds(),
      100 * report.flop() / report.seconds() / report.peak, 100 * report.product_seconds() / report.seconds(),
      100 * report.score_product_seconds / report.rows.back().seconds);
}
