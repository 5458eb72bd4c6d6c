#include <cstring>

#include "device/device_contract.h"
#include "device/grid.h"
#include "device/whole_score.h"

namespace thresher::device::contract {
namespace {

// A block of a small model run on some rows: products of several shapes, attention, the head.
struct Weights {
  std::vector<float> up, down, head;
  std::int64_t width, inner, vocabulary;
};

struct Outcome {
  std::vector<float> hidden;  // rows x width
  std::vector<float> logprob, entropy;
  std::vector<std::int32_t> rank;
};

std::vector<float> random_floats(std::uint64_t seed, std::int64_t count, float scale) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

// Sequences by their seeds and lengths: the same seed has the same rows anywhere.
Outcome run(Device& device, DType dtype, const Weights& w,
            const std::vector<std::pair<std::uint64_t, std::int64_t>>& sequences) {
  std::vector<float> rows;
  std::vector<double> starts{0};
  std::int64_t longest = 0;
  for (const auto& [seed, length] : sequences) {
    const std::vector<float> more = random_floats(seed, length * w.width, 1);
    rows.insert(rows.end(), more.begin(), more.end());
    starts.push_back(starts.back() + static_cast<double>(length));
    longest = std::max(longest, length);
  }
  const auto tokens = static_cast<std::int64_t>(starts.back());
  const DType rows_in = dtype == DType::i8 ? DType::bf16 : dtype;
  Grid x(device, DType::f32, tokens, w.width), gain(device, DType::f32, 1, w.width),
      normed(device, rows_in, tokens, w.width);
  Grid inner(device, rows_in, tokens, 2 * w.inner), gated(device, rows_in, tokens, w.inner),
      mixed(device, rows_in, tokens, w.width);
  Grid start(device, DType::i32, 1, static_cast<std::int64_t>(starts.size())), targets(device, DType::i32, 1, tokens);
  Grid logprob(device, DType::f32, 1, tokens), rank(device, DType::i32, 1, tokens),
      entropy(device, DType::f32, 1, tokens);
  x.fill([&](auto r, auto c) { return rows[static_cast<std::size_t>(r * w.width + c)]; });
  gain.fill([](auto, auto) { return 1.0; });
  start.fill([&](auto, auto i) { return starts[static_cast<std::size_t>(i)]; });
  targets.fill([&](auto, auto t) {
    return static_cast<double>(std::abs(std::lround(100 * rows[static_cast<std::size_t>(t * w.width)])) % w.vocabulary);
  });
  const auto up = device.pack(tensor::matrix(const_cast<float*>(w.up.data()), DType::f32, 2 * w.inner, w.width), dtype);
  const auto down = device.pack(tensor::matrix(const_cast<float*>(w.down.data()), DType::f32, w.width, w.inner), dtype);
  const auto head =
      device.pack(tensor::matrix(const_cast<float*>(w.head.data()), DType::f32, w.vocabulary, w.width), rows_in);
  device.reserve(tokens, tokens, 0);
  device.norm(x.view(), {}, gain.view(), 1e-5f, normed.view());
  device.attend(normed.view(), normed.view(), normed.view(),
                {start.view(), static_cast<std::int64_t>(sequences.size()), longest},
                {w.width / 16, w.width / 16, 16, 0.25f, 0}, mixed.view());
  device.matmul_gate(mixed.view(), *up, {}, Activation::silu, inner.view(), gated.view());
  device.matmul(gated.view(), *down, {}, true, x.view());
  device.norm(x.view(), {}, gain.view(), 1e-5f, normed.view());
  score_whole(device, normed.view(), *head, targets.view(), {logprob.view(), rank.view(), entropy.view(), {}, {}});
  Outcome out;
  x.read(), logprob.read(), rank.read(), entropy.read();
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t c = 0; c < w.width; ++c) out.hidden.push_back(static_cast<float>(x.at(t, c)));
    out.logprob.push_back(static_cast<float>(logprob.at(0, t)));
    out.entropy.push_back(static_cast<float>(entropy.at(0, t)));
    out.rank.push_back(static_cast<std::int32_t>(rank.at(0, t)));
  }
  return out;
}

template <class T>
bool same(const std::vector<T>& a, std::int64_t at, const std::vector<T>& b, std::int64_t from, std::int64_t count) {
  return std::memcmp(a.data() + at, b.data() + from, static_cast<std::size_t>(count) * sizeof(T)) == 0;
}

bool same_rows(const Outcome& all, std::int64_t at, const Outcome& part, std::int64_t from, std::int64_t rows,
               std::int64_t width) {
  return same(all.hidden, at * width, part.hidden, from * width, rows * width) &&
         same(all.logprob, at, part.logprob, from, rows) && same(all.entropy, at, part.entropy, from, rows) &&
         same(all.rank, at, part.rank, from, rows);
}

}  // namespace

std::vector<std::string> changed_bits(Device& one, Device& other, DType dtype) {
  std::vector<std::string> changed;
  for (const std::int64_t vocabulary : {90, 2100})
    for (const std::int64_t inner : {72, 320}) {
      Weights w{random_floats(1, 2 * inner * 96, 0.1f),
                random_floats(2, inner * 96, 0.1f),
                random_floats(3, vocabulary * 96, 0.3f),
                96,
                inner,
                vocabulary};
      const std::vector<std::pair<std::uint64_t, std::int64_t>> sequences{
          {21, 1}, {22, 150}, {23, 7}, {24, 64}, {25, 33}};
      const Outcome all = run(one, dtype, w, sequences);
      std::int64_t at = 0;
      for (const auto& sequence : sequences) {
        const auto expect_same = [&](const Outcome& part, std::int64_t from, const char* where) {
          if (same_rows(all, at, part, from, sequence.second, 96)) return;
          changed.push_back(std::to_string(sequence.second) + " rows of a model of " + std::to_string(inner) + " and " +
                            std::to_string(vocabulary) + ", " + where);
        };
        for (Device* device : {&one, &other}) expect_same(run(*device, dtype, w, {sequence}), 0, "alone");
        expect_same(run(other, dtype, w, {{31, 40}, sequence, {32, 10}}), 40, "in company");
        at += sequence.second;
      }
    }
  return changed;
}

void check_same_bits(Device& one, Device& other) {
  std::vector<DType> types{DType::f32, DType::bf16};
  if (one.quantises()) types.push_back(DType::i8);
  for (const DType dtype : types)
    for (const std::string& change : changed_bits(one, other, dtype))
      BOOST_ERROR(tensor::name_of(dtype) << " has other bits: " << change);
}

}  // namespace thresher::device::contract
