#include "device/device_contract.h"
#include "device/grid.h"

namespace thresher::device::contract {
namespace {

struct Case {
  std::vector<std::int64_t> lengths;
  std::int64_t heads, kv_heads, size, window;
  DType dtype, out;
};

void check_case(Device& device, const Case& c) {
  std::mt19937_64 generator(11);
  std::int64_t tokens = 0, longest = 0;
  std::vector<std::int64_t> first{0}, sequence;
  for (std::size_t s = 0; s < c.lengths.size(); ++s) {
    sequence.insert(sequence.end(), static_cast<std::size_t>(c.lengths[s]), static_cast<std::int64_t>(s));
    first.push_back(tokens += c.lengths[s]);
    longest = std::max(longest, c.lengths[s]);
  }
  // Views of one fused [q | k | v] matrix, as the model has them.
  const std::int64_t q_width = c.heads * c.size, kv_width = c.kv_heads * c.size;
  Grid fused(device, c.dtype, tokens, q_width + 2 * kv_width, 4), out(device, c.out, tokens, q_width, 2);
  fused.random(generator, 1.5);
  Grid starts(device, DType::i32, 1, static_cast<std::int64_t>(first.size()));
  starts.fill([&](auto, auto i) { return static_cast<double>(first[static_cast<std::size_t>(i)]); });
  const float scale = 1 / std::sqrt(static_cast<float>(c.size));
  device.reserve(tokens, tokens, 0);
  device.attend(fused.view().columns_from(0, q_width), fused.view().columns_from(q_width, kv_width),
                fused.view().columns_from(q_width + kv_width, kv_width),
                {starts.view(), static_cast<std::int64_t>(c.lengths.size()), longest},
                {c.heads, c.kv_heads, c.size, scale, c.window}, out.view());
  std::vector<double> weights, row;
  const auto attended = [&](std::int64_t t, std::int64_t head) {
    const std::int64_t kv = head / (c.heads / c.kv_heads);
    const std::int64_t low = std::max(first[static_cast<std::size_t>(sequence[static_cast<std::size_t>(t)])],
                                      c.window ? t - c.window + 1 : 0);
    weights.assign(static_cast<std::size_t>(t - low + 1), 0);
    double highest = -1e300, total = 0;
    for (std::int64_t j = low; j <= t; ++j) {
      double dot = 0;
      for (std::int64_t d = 0; d < c.size; ++d)
        dot += fused.at(t, head * c.size + d) * fused.at(j, q_width + kv * c.size + d);
      weights[static_cast<std::size_t>(j - low)] = dot * static_cast<double>(scale);
      highest = std::max(highest, weights[static_cast<std::size_t>(j - low)]);
    }
    for (double& w : weights) total += w = std::exp(w - highest);
    row.assign(static_cast<std::size_t>(c.size), 0);
    for (std::int64_t j = low; j <= t; ++j)
      for (std::int64_t d = 0; d < c.size; ++d)
        row[static_cast<std::size_t>(d)] +=
            weights[static_cast<std::size_t>(j - low)] / total * fused.at(j, q_width + kv_width + kv * c.size + d);
  };
  // With bf16 the weights too are rounded to 8 bits before they meet the values; on a CPU the values as well if the
  // output is. For an output of bf16 numbers of f32 may be split into two of 8 bits each.
  const bool splits = c.dtype == DType::f32 && c.out == DType::bf16, rounds = splits && device.kind() == "cpu";
  const double absolute = rounds ? 2.4e-2 : splits ? 1e-4 : c.dtype == DType::bf16 ? 1.2e-2 : 1e-5;
  compare(
      out.read(), absolute, relative_error(c.out),
      [&](std::int64_t t, std::int64_t column) {
        if (column % c.size == 0) attended(t, column / c.size);
        return row[static_cast<std::size_t>(column % c.size)];
      },
      "attend");
}

}  // namespace

void check_attend(Device& device) {
  check_attend_of(device, DType::f32, DType::f32);
  check_attend_of(device, DType::bf16, DType::bf16);
  check_attend_of(device, DType::f32, DType::bf16);
}

void check_attend_of(Device& device, DType dtype, DType out) {
  for (const std::int64_t size : {2, 4, 8, 12, 16, 22, 24, 48, 64, 72, 90, 128, 254, 256})
    check_case(device, {{1, 7, 33, 70}, 4, 2, size, 0, dtype, out});
  for (const std::int64_t length : {1, 17, 63, 64, 65, 255}) check_case(device, {{length}, 2, 2, 48, 0, dtype, out});
  check_case(device, {{200, 3, 130}, 6, 1, 16, 0, dtype, out});
  check_case(device, {{5, 70}, 70, 1, 8, 0, dtype, out});
  check_case(device, {{33, 40}, 10, 2, 256, 0, dtype, out});
  for (const std::int64_t window : {1, 5, 64, 100}) check_case(device, {{300, 20, 65}, 4, 2, 32, window, dtype, out});
}

}  // namespace thresher::device::contract
