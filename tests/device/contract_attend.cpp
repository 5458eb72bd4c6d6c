#include <numeric>

#include "device/device_contract.h"
#include "device/grid.h"

namespace thresher::device::contract {
namespace {

struct Case {
  std::vector<std::int64_t> lengths;
  std::int64_t heads, kv_heads, size, window;
  DType dtype, out;
};

float scale_of(const Case& c) {
  return 1 / std::sqrt(static_cast<float>(c.size));
}

// Views of one fused [q | k | v] matrix, as the model has them, and what attend makes of them.
struct Attended {
  Attended(Device& device, const Case& c);

  std::vector<std::int64_t> first{0}, sequence;  // rows: a sequence's first, the sequence of each
  Grid fused, out;
};

std::int64_t sum(const std::vector<std::int64_t>& lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
}

Attended::Attended(Device& device, const Case& c)
    : fused(device, c.dtype, sum(c.lengths), (c.heads + 2 * c.kv_heads) * c.size, 4),
      out(device, c.out, sum(c.lengths), c.heads * c.size, 2) {
  std::mt19937_64 generator(11);
  for (std::size_t s = 0; s < c.lengths.size(); ++s) {
    sequence.insert(sequence.end(), static_cast<std::size_t>(c.lengths[s]), static_cast<std::int64_t>(s));
    first.push_back(first.back() + c.lengths[s]);
  }
  fused.random(generator, 1.5);
  Grid starts(device, DType::i32, 1, static_cast<std::int64_t>(first.size()));
  starts.fill([&](auto, auto i) { return static_cast<double>(first[static_cast<std::size_t>(i)]); });
  const std::int64_t q_width = c.heads * c.size, kv_width = c.kv_heads * c.size, tokens = first.back();
  device.reserve(tokens, tokens, 0);
  device.attend(fused.view().columns_from(0, q_width), fused.view().columns_from(q_width, kv_width),
                fused.view().columns_from(q_width + kv_width, kv_width),
                {starts.view(), static_cast<std::int64_t>(c.lengths.size()),
                 *std::max_element(c.lengths.begin(), c.lengths.end())},
                {c.heads, c.kv_heads, c.size, scale_of(c), c.window}, out.view());
  out.read();
}

void check_case(Device& device, const Case& c) {
  const Attended got(device, c);
  const auto& [first, sequence, fused, out] = got;
  const std::int64_t q_width = c.heads * c.size, kv_width = c.kv_heads * c.size;
  const float scale = scale_of(c);
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
      out, absolute, relative_error(c.out),
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

// Long enough that the number of threads decides how many rows and heads a task has.
void check_same_attend(Device& one, Device& other) {
  for (const auto& [dtype, out] :
       {std::pair{DType::f32, DType::f32}, {DType::bf16, DType::bf16}, {DType::f32, DType::bf16}})
    for (const auto& [heads, kv_heads, size] : {std::array<std::int64_t, 3>{2, 2, 48}, {10, 2, 64}, {1, 1, 256}})
      for (const std::int64_t window : {0, 333}) {
        const Case c{{1500, 1, 700}, heads, kv_heads, size, window, dtype, out};
        const Attended first(one, c), second(other, c);
        std::int64_t differ = 0;
        for (std::int64_t r = 0; r < first.out.rows(); ++r)
          for (std::int64_t k = 0; k < first.out.columns(); ++k) differ += first.out.at(r, k) != second.out.at(r, k);
        BOOST_TEST(differ == 0, "attend of " << tensor::name_of(dtype) << " to " << tensor::name_of(out) << ", "
                                             << heads << " heads of " << size << ", window " << window << ": " << differ
                                             << " numbers have other bits");
      }
}

}  // namespace thresher::device::contract
