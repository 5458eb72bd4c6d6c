// The streamed head's kernels by themselves: logits that are given, parts and lists that a loop finds too.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "device/cuda/kernels/kernels.h"
#include "device/emulation/schedules.h"
#include "thresher/tensor/buffer.h"

namespace thresher::device::cuda {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
const float nan = std::nanf("");

template <class T>
struct Matrix {
  Matrix(std::int64_t rows, std::int64_t columns, DType dtype)
      : stride((columns + 3) / 4 * 4),
        memory(tensor::host_buffer(std::max<std::int64_t>(1, rows * stride) * 4)),
        view{memory.data(), dtype, rows, columns, stride} {
    std::fill_n(static_cast<T*>(memory.data()), rows * stride, static_cast<T>(-77));
  }
  T& at(std::int64_t r, std::int64_t c) { return view.row<T>(r)[c]; }

  std::int64_t stride;
  Buffer memory;
  Tensor view;
};

struct Streamed {
  Streamed(std::int64_t rows_given, std::int64_t vocabulary_given, std::int64_t top, std::int64_t first_id_given = 0)
      : rows(rows_given),
        vocabulary(vocabulary_given),
        first_id(first_id_given),
        logits(rows, vocabulary, DType::f32),
        targets(1, rows, DType::i32),
        target_logits(1, rows, DType::f32),
        reference(8, rows, DType::f32),
        sum(8, rows, DType::f32),
        weighted(8, rows, DType::f32),
        above(1, rows, DType::i32),
        found(1, rows, DType::f32),
        top_id(rows, top, DType::i32),
        top_logit(rows, top, DType::f32) {
    std::mt19937 generator(7);
    std::normal_distribution<float> normal(0, 3);
    // Few different values: ties everywhere.
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < vocabulary; ++c)
        logits.at(r, c) = r % 2 ? std::round(normal(generator)) : normal(generator);
    for (std::int64_t r = 0; r < rows; ++r) target(r, static_cast<std::int64_t>(generator() % vocabulary));
  }

  void target(std::int64_t r, std::int64_t column) {
    targets.at(0, r) = static_cast<std::int32_t>(first_id + column);
    target_logits.at(0, r) = column >= 0 && column < vocabulary ? logits.at(r, column) : 0.5f;
  }

  void run(std::int64_t chunk_tiles) {
    const std::int64_t tiles = (vocabulary + vocabulary_tile - 1) / vocabulary_tile;
    std::vector<TilePart> parts(static_cast<std::size_t>(tiles * rows));
    for (std::int64_t r = 0; r < rows; ++r) found.at(0, r) = 0;
    for (std::int64_t tile = 0; tile < tiles; tile += chunk_tiles) {
      const std::int64_t first = tile * vocabulary_tile;
      const ScoreChunk chunk{
          .logits = logits.view.columns_from(first, std::min(chunk_tiles * vocabulary_tile, vocabulary - first)),
          .first_tile = tile,
          .first_id = first_id,
          .targets = targets.view,
          .target_logits = target_logits.view,
          .weighted = true};
      score_tiles(chunk, parts.data(), found.view, nullptr);
      score_best(chunk, parts.data(), top_id.view, top_logit.view, nullptr);
    }
    const auto cuts = vocabulary_cuts(vocabulary);
    score_merge({parts.data(), tiles, cuts, reference.view, sum.view, weighted.view, above.view}, nullptr);
  }

  void check_row(std::int64_t r);

  std::int64_t rows, vocabulary, first_id;
  Matrix<float> logits;
  Matrix<std::int32_t> targets;
  Matrix<float> target_logits, reference, sum, weighted;
  Matrix<std::int32_t> above;
  Matrix<float> found;
  Matrix<std::int32_t> top_id;
  Matrix<float> top_logit;
};

void Streamed::check_row(std::int64_t r) {
  const float* row = logits.view.row<float>(r);
  const std::int64_t column = targets.at(0, r) - first_id;
  const float limit = target_logits.at(0, r);
  const bool here = column >= 0 && column < vocabulary;
  std::int32_t before = 0;
  for (std::int64_t c = 0; c < vocabulary; ++c) before += row[c] > limit || (row[c] == limit && c < column);
  BOOST_TEST(above.at(0, r) == before);
  if (here && !std::isnan(row[column])) BOOST_TEST(found.at(0, r) == row[column]);
  if (!here) BOOST_TEST(found.at(0, r) == 0);

  std::vector<std::int32_t> order;
  for (std::int64_t c = 0; c < vocabulary; ++c)
    if (!std::isnan(row[c])) order.push_back(static_cast<std::int32_t>(c));
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return row[a] > row[b]; });
  for (std::int64_t i = 0; i < top_id.view.columns; ++i) {
    const bool filled = i < static_cast<std::int64_t>(order.size());
    const std::int32_t id = filled ? order[static_cast<std::size_t>(i)] : -1;
    BOOST_TEST(top_id.at(r, i) == (filled ? first_id + id : -1));
    BOOST_TEST(top_logit.at(r, i) == (filled ? row[id] : -infinity));
  }

  SoftmaxPart segments[8];
  for (std::int64_t s = 0; s < 8; ++s) segments[s] = {reference.at(s, r), sum.at(s, r), weighted.at(s, r)};
  const SoftmaxPart whole = merge(segments);
  const bool broken = std::any_of(row, row + vocabulary, [](float x) { return std::isnan(x) || x == infinity; });
  if (broken) {
    BOOST_TEST(std::isnan(logprob_of(whole, 0)));
    return;
  }
  if (order.empty() || row[order[0]] == -infinity) {
    BOOST_TEST(whole.reference == -infinity);
    BOOST_TEST(whole.sum == 0);
    return;
  }
  double total = 0, times = 0;
  for (std::int64_t c = 0; c < vocabulary; ++c) total += std::exp(double{row[c]} - row[order[0]]);
  const double normaliser = row[order[0]] + std::log(total);
  for (std::int64_t c = 0; c < vocabulary; ++c)
    if (row[c] != -infinity) times += std::exp(row[c] - normaliser) * row[c];
  BOOST_TEST(std::abs(logprob_of(whole, row[order[0]]) - (row[order[0]] - normaliser)) < 5e-6);
  BOOST_TEST(std::abs(entropy_of(whole) - (normaliser - times)) < 2e-5);
}

BOOST_AUTO_TEST_SUITE(emulated_score)

BOOST_AUTO_TEST_CASE(shapes) {
  for (const auto& [rows, vocabulary, top] : {std::array<std::int64_t, 3>{1, 1, 3},
                                              {1, 7, 10},
                                              {3, 1024, 1},
                                              {9, 1025, 33},
                                              {2, 3000, 300},
                                              {2, 9000, 1000}}) {
    Streamed streamed(rows, vocabulary, top, vocabulary > 2000 ? 5 * vocabulary_tile : 0);
    if (rows > 1) streamed.target(0, -3), streamed.target(1, vocabulary + 2);
    streamed.run(2);
    for (std::int64_t r = 0; r < rows; ++r) streamed.check_row(r);
  }
}

BOOST_AUTO_TEST_CASE(broken_logits) {
  Streamed streamed(8, 2100, 5);
  const auto all = [&](std::int64_t r, float value) { std::fill_n(streamed.logits.view.row<float>(r), 2100, value); };
  all(0, -infinity);
  all(1, nan);
  all(2, 0);
  streamed.logits.at(3, 1500) = infinity;
  streamed.logits.at(4, 2099) = nan;
  streamed.logits.at(5, 3) = -infinity;
  all(6, -infinity);
  streamed.logits.at(6, 1700) = 2;
  all(7, -infinity);
  streamed.logits.at(7, 1030) = nan;
  for (std::int64_t r = 0; r < 8; ++r) streamed.target(r, 300 * r);
  streamed.run(1);
  for (std::int64_t r = 0; r < 8; ++r) streamed.check_row(r);
}

// Rows and chunks do not change a row's bits.
BOOST_AUTO_TEST_CASE(company) {
  Streamed all(17, 5000, 4);
  all.run(5);
  for (const std::int64_t r : {0, 7, 16}) {
    Streamed one(1, 5000, 4);
    std::copy_n(all.logits.view.row<float>(r), 5000, one.logits.view.row<float>(0));
    one.target(0, all.targets.at(0, r));
    one.run(1);
    for (std::int64_t s = 0; s < 8; ++s) {
      BOOST_TEST(one.reference.at(s, 0) == all.reference.at(s, r));
      BOOST_TEST(one.sum.at(s, 0) == all.sum.at(s, r));
      BOOST_TEST(one.weighted.at(s, 0) == all.weighted.at(s, r));
    }
    one.check_row(0);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda
