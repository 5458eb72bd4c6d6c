#include <algorithm>
#include <numeric>

#include "device/device_contract.h"
#include "device/grid.h"
#include "device/whole_score.h"

namespace thresher::device::contract {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

// Hidden rows, a head and everything that `score` can be asked for.
struct Scored {
  Scored(Device& device_given, DType dtype_given, std::int64_t rows_given, std::int64_t width_given,
         std::int64_t vocabulary_given, std::int64_t top)
      : device(device_given),
        dtype(dtype_given),
        rows(rows_given),
        width(width_given),
        vocabulary(vocabulary_given),
        hidden(device, dtype, rows, width, 3),
        targets(device, DType::i32, 1, rows),
        head(static_cast<std::size_t>(vocabulary * width)),
        logprob(device, DType::f32, 1, rows, 1),
        rank(device, DType::i32, 1, rows, 1),
        entropy(device, DType::f32, 1, rows, 1),
        top_id(device, DType::i32, rows, top, 2),
        top_logprob(device, DType::f32, rows, top, 2) {}

  void run() {
    const auto weight = device.pack(tensor::matrix(head.data(), DType::f32, vocabulary, width), dtype);
    device.reserve(rows, rows, top_id.columns());
    score_whole(device, hidden.view(), *weight, targets.view(),
                {logprob.view(), rank.view(), entropy.view(), top_id.view(), top_logprob.view()});
    for (Grid* grid : {&logprob, &rank, &entropy, &top_id, &top_logprob}) grid->read();
  }

  void random(std::uint64_t seed, double scale) {
    std::mt19937_64 generator(seed);
    std::normal_distribution<float> normal(0, static_cast<float>(scale / std::sqrt(static_cast<double>(width))));
    for (float& value : head) {
      value = normal(generator);
      if (dtype == DType::bf16) value = base::from_bf16(base::to_bf16(value));
    }
    hidden.random(generator);
    targets.fill([&](auto, auto) { return static_cast<double>(generator() % static_cast<std::uint64_t>(vocabulary)); });
  }

  std::vector<double> logits(std::int64_t r) const {
    std::vector<double> row(static_cast<std::size_t>(vocabulary), 0);
    for (std::int64_t v = 0; v < vocabulary; ++v)
      for (std::int64_t k = 0; k < width; ++k)
        row[static_cast<std::size_t>(v)] +=
            hidden.at(r, k) * static_cast<double>(head[static_cast<std::size_t>(v * width + k)]);
    return row;
  }

  void check_row(std::int64_t r) const {
    const std::vector<double> row = logits(r);
    const double highest = *std::max_element(row.begin(), row.end());
    double sum = 0, weighted = 0;
    for (const double x : row) sum += std::exp(x - highest);
    const double normaliser = highest + std::log(sum);
    for (const double x : row) weighted += std::exp(x - normaliser) * x;
    const auto target = static_cast<std::size_t>(targets.at(0, r));
    BOOST_TEST(std::abs(logprob.at(0, r) - (row[target] - normaliser)) < 1e-5,
               "logprob " << logprob.at(0, r) << ", expected " << row[target] - normaliser);
    BOOST_TEST(std::abs(entropy.at(0, r) - (normaliser - weighted)) < 1e-5,
               "entropy " << entropy.at(0, r) << ", expected " << normaliser - weighted);
    // Logits closer than rounding may change places.
    const auto above = [&](double margin) {
      return std::count_if(row.begin(), row.end(), [&](double x) { return x > row[target] + margin; });
    };
    BOOST_TEST(rank.at(0, r) >= static_cast<double>(above(1e-5)));
    BOOST_TEST(rank.at(0, r) <= static_cast<double>(above(-1e-5)));
    std::vector<double> sorted = row;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    for (std::int64_t i = 0; i < top_id.columns(); ++i) {
      if (i >= vocabulary) {
        BOOST_TEST(top_id.at(r, i) == -1);
        BOOST_TEST(top_logprob.at(r, i) == -infinity);
        continue;
      }
      const auto id = static_cast<std::size_t>(top_id.at(r, i));
      BOOST_TEST(std::abs(row[id] - sorted[static_cast<std::size_t>(i)]) < 1e-5);
      BOOST_TEST(std::abs(top_logprob.at(r, i) - (row[id] - normaliser)) < 1e-5);
    }
    if (rank.at(0, r) < static_cast<double>(top_id.columns()))
      BOOST_TEST(top_id.at(r, static_cast<std::int64_t>(rank.at(0, r))) == targets.at(0, r));
  }

  Device& device;
  DType dtype;
  std::int64_t rows, width, vocabulary;
  Grid hidden, targets;
  std::vector<float> head;
  Grid logprob, rank, entropy, top_id, top_logprob;
};

}  // namespace

void check_score(Device& device) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::int64_t vocabulary : {1, 17, 300, 4097, 32000})
      for (const std::int64_t rows : {1, 7, 33, 130}) {
        if (vocabulary > 5000 && rows > 40) continue;
        Scored scored(device, dtype, rows, vocabulary > 5000 ? 40 : 100, vocabulary, rows == 33 ? 5 : 40);
        scored.random(static_cast<std::uint64_t>(vocabulary + rows), 3);
        scored.run();
        for (std::int64_t r = 0; r<rows; r += vocabulary> 5000 ? 11 : 1) scored.check_row(r);
      }
}

void check_score_ties(Device& device) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::int64_t vocabulary : {40, 3000}) {
      // Every id has a twin seven places on with the same row; a zero row makes all logits equal.
      Scored scored(device, dtype, 66, 64, vocabulary, 6);
      scored.random(3, 2);
      for (std::int64_t v = 0; v < vocabulary; ++v)
        if (v % 14 >= 7) std::copy_n(scored.head.begin() + (v - 7) * 64, 64, scored.head.begin() + v * 64);
      std::mt19937_64 generator(9);
      std::normal_distribution<double> normal;
      scored.hidden.fill([&](auto r, auto) { return r % 5 == 4 ? 0.0 : normal(generator); });
      scored.run();
      for (std::int64_t r = 0; r < 66; ++r) {
        const double target = scored.targets.at(0, r);
        if (r % 5 == 4) {
          BOOST_TEST(scored.rank.at(0, r) == target);
          for (std::int64_t i = 0; i < 6; ++i) BOOST_TEST(scored.top_id.at(r, i) == static_cast<double>(i));
          BOOST_TEST(std::abs(scored.logprob.at(0, r) + std::log(static_cast<double>(vocabulary))) < 1e-5);
          BOOST_TEST(std::abs(scored.entropy.at(0, r) - std::log(static_cast<double>(vocabulary))) < 1e-5);
        } else {
          for (std::int64_t i = 0; i < 6; i += 2) {
            if (scored.top_logprob.at(r, i) != scored.top_logprob.at(r, i + 1)) continue;
            BOOST_TEST(scored.top_id.at(r, i + 1) == scored.top_id.at(r, i) + 7);
          }
          scored.check_row(r);
          const std::int64_t id = static_cast<std::int64_t>(target), twin = id % 14 >= 7 ? id - 7 : id;
          Scored& s = scored;
          const std::vector<double> row = s.logits(r);
          const auto better = std::count_if(row.begin(), row.end(),
                                            [&](double x) { return x > row[static_cast<std::size_t>(id)] + 1e-5; });
          const auto as_good = std::count_if(
              row.begin(), row.end(), [&](double x) { return std::abs(x - row[static_cast<std::size_t>(id)]) < 1e-5; });
          if (as_good == 2) BOOST_TEST(s.rank.at(0, r) == static_cast<double>(better + (twin != id)));
        }
      }
    }
}

void check_score_of_broken_logits(Device& device) {
  Scored scored(device, DType::f32, 6, 16, 2500, 3);
  scored.random(4, 1);
  for (std::int64_t k = 0; k < 16; ++k) scored.head[static_cast<std::size_t>(2000 * 16 + k)] = k == 0 ? 1.0f : 0.0f;
  const double firsts[] = {nan, infinity, -infinity, 1e38, 1, 0};
  const Grid before = [&] {
    Grid copy(device, DType::f32, 6, 16);
    copy.fill([&](auto r, auto c) { return scored.hidden.at(r, c); });
    return copy;
  }();
  scored.hidden.fill([&](auto r, auto c) { return c == 0 ? firsts[r] : before.at(r, c); });
  scored.run();
  for (const std::int64_t r : {0, 1, 2}) BOOST_TEST(std::isnan(scored.logprob.at(0, r)), "row " << r);
  for (const std::int64_t r : {4, 5}) scored.check_row(r);
}

}  // namespace thresher::device::contract
