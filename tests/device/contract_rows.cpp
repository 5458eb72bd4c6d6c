#include "device/device_contract.h"
#include "device/grid.h"

namespace thresher::device::contract {
namespace {

constexpr DType types[] = {DType::f32, DType::bf16};

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  return std::nan("");
}

void check_rope_of(Device& device, DType dtype, std::int64_t tokens, std::int64_t size, bool normed) {
  std::mt19937_64 generator(5);
  const std::int64_t heads = 3, table = 40, half = size / 2;
  Grid x(device, dtype, tokens, heads * size, 5), cos(device, DType::f32, table, half, 1),
      sin(device, DType::f32, table, half, 2);
  Grid rows(device, DType::i32, 1, tokens), gain(device, DType::f32, 1, size);
  x.random(generator);
  gain.random(generator);
  const Grid before = [&] {
    Grid copy(device, dtype, tokens, heads * size);
    copy.fill([&](auto r, auto c) { return x.at(r, c); });
    return copy;
  }();
  const auto angle = [&](std::int64_t row, std::int64_t i) {
    return static_cast<double>(row) * std::pow(10000.0, -static_cast<double>(2 * i) / static_cast<double>(size));
  };
  cos.fill([&](auto r, auto c) { return std::cos(angle(r, c)); });
  sin.fill([&](auto r, auto c) { return std::sin(angle(r, c)); });
  rows.fill([&](auto, auto c) { return static_cast<double>((c * 7) % table); });
  RopeOptions options{
      .rows = rows.view(), .cos = cos.view(), .sin = sin.view(), .head_size = size, .gain = {}, .epsilon = 1e-5f};
  if (normed) options.gain = gain.view();
  device.rope(x.view(), options);
  const auto input = [&](std::int64_t r, std::int64_t head, std::int64_t i) {
    if (!normed) return before.at(r, head * size + i);
    double squares = 0;
    for (std::int64_t j = 0; j < size; ++j) squares += std::pow(before.at(r, head * size + j), 2);
    return before.at(r, head * size + i) / std::sqrt(squares / static_cast<double>(size) + 1e-5) * gain.at(0, i);
  };
  compare(
      x.read(), 2e-5 * (dtype == DType::bf16 ? 100 : 1), relative_error(dtype),
      [&](std::int64_t r, std::int64_t c) {
        const std::int64_t head = c / size, i = c % size, low = i % half, row = (r * 7) % table;
        const double a = input(r, head, low), b = input(r, head, low + half);
        return i < half ? a * cos.at(row, low) - b * sin.at(row, low) : b * cos.at(row, low) + a * sin.at(row, low);
      },
      "rope");
}

}  // namespace

void check_embed(Device& device) {
  std::mt19937_64 generator(1);
  for (const DType dtype : types)
    for (const std::int64_t width : {1, 7, 33, 288}) {
      Grid table(device, dtype, 50, width), ids(device, DType::i32, 1, 33), out(device, DType::f32, 33, width, 3);
      table.random(generator);
      ids.fill([](auto, auto c) { return static_cast<double>(c * 31 % 50); });
      device.embed(ids.view(), table.view(), 0, out.view());
      compare(
          out.read(), 0, 0, [&](auto r, auto c) { return table.at(r * 31 % 50, c); }, "embed");
    }
}

void check_norm(Device& device) {
  std::mt19937_64 generator(2);
  for (const DType dtype : types)
    for (const std::int64_t width : {1, 7, 64, 100, 2048})
      for (const bool gathered : {false, true}) {
        const std::int64_t tokens = 17, taken = gathered ? 9 : tokens;
        Grid x(device, DType::f32, tokens, width, 1), gain(device, DType::f32, 1, width),
            rows(device, DType::i32, 1, taken);
        Grid out(device, dtype, taken, width, 9);
        x.random(generator, 3);
        gain.random(generator);
        rows.fill([](auto, auto c) { return static_cast<double>(16 - c); });
        device.norm(x.view(), gathered ? rows.view() : Tensor{}, gain.view(), 1e-5f, out.view());
        compare(
            out.read(), 1e-7, relative_error(dtype),
            [&](std::int64_t r, std::int64_t c) {
              const std::int64_t s = gathered ? 16 - r : r;
              double squares = 0;
              for (std::int64_t i = 0; i < width; ++i) squares += x.at(s, i) * x.at(s, i);
              return x.at(s, c) / std::sqrt(squares / static_cast<double>(width) + 1e-5) * gain.at(0, c);
            },
            "norm");
      }
}

void check_rope(Device& device) {
  for (const DType dtype : types)
    for (const std::int64_t size : {8, 16, 48, 64, 128})
      for (const bool normed : {false, true}) check_rope_of(device, dtype, 33, size, normed);
}

void check_gate(Device& device) {
  std::mt19937_64 generator(3);
  for (const Activation activation : {Activation::silu, Activation::gelu, Activation::gelu_tanh})
    for (const DType from : types)
      for (const DType to : types)
        for (const std::int64_t width : {1, 17, 768}) {
          Grid x(device, from, 33, 2 * width, 4), out(device, to, 33, width, 2);
          x.random(generator, 4);
          device.gate(x.view(), activation, out.view());
          compare(
              out.read(), 1e-6, relative_error(to),
              [&](auto r, auto c) { return activate(activation, x.at(r, c)) * x.at(r, c + width); }, "gate");
        }
  Grid x(device, DType::f32, 1, 12), out(device, DType::f32, 1, 6);
  const double extremes[] = {-1e30, 1e30, 0, -100, 100, std::nan("")};
  x.fill([&](auto, auto c) { return c < 6 ? extremes[c] : 1.0; });
  for (const Activation activation : {Activation::silu, Activation::gelu, Activation::gelu_tanh}) {
    device.gate(x.view(), activation, out.view());
    out.read();
    BOOST_TEST(std::abs(out.at(0, 0)) < 1e-6);
    BOOST_TEST(out.at(0, 1) == double{1e30f});
    BOOST_TEST(out.at(0, 2) == 0);
    BOOST_TEST(std::abs(out.at(0, 3)) < 1e-6);
    BOOST_TEST(out.at(0, 4) == 100);
    BOOST_TEST(std::isnan(out.at(0, 5)));
  }
}

}  // namespace thresher::device::contract
