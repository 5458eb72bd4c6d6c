// A head split over ranks, emulated on one device, has the bits of the whole one.
#include <algorithm>
#include <cmath>
#include <limits>

#include "device/device_contract.h"
#include "device/plain.h"

namespace thresher::device::contract {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// What all ranks together find, row by row.
struct Found {
  std::vector<float> logprob, entropy;
  std::vector<std::int32_t> above, top_id;
  std::vector<float> top_logit;
};

struct Rank {
  std::unique_ptr<Weight> head;
  std::vector<std::int64_t> cuts;
  std::int64_t first_id;
};

class Vocabulary {
 public:
  Vocabulary(Device& device, DType dtype, std::int64_t rows, std::int64_t width, std::int64_t vocabulary,
             std::int64_t top)
      : device_(device),
        dtype_(dtype),
        rows_(rows),
        width_(width),
        vocabulary_(vocabulary),
        top_(top),
        matrix_(random_matrix(1, vocabulary * width, 0.5f)),
        hidden_(device, dtype, rows, width),
        targets_(device, DType::i32, 1, rows) {
    // Every fifth row of the head is a twin of one three tiles below, or of its neighbour.
    for (std::int64_t v = 5; v < vocabulary; v += 5)
      std::copy_n(matrix_.begin() + (v > 3072 ? v - 3072 : v - 1) * width, width, matrix_.begin() + v * width);
    for (float& value : matrix_) value = base::from_bf16(base::to_bf16(value));
    hidden_.random(2);
    for (std::int64_t c = 0; c < width; ++c) {
      set(0, c, std::nanf(""));
      set(1, c, 0);
      set(2, c, c == 1 ? infinity : 0);
    }
    hidden_.write();
    std::mt19937_64 generator(3);
    targets_.fill([&](auto, auto) { return generator() % static_cast<std::uint64_t>(vocabulary); });
  }

  Found run(std::int64_t ranks);
  void check_against_doubles(const Found& found);

 private:
  void set(std::int64_t r, std::int64_t c, float value) {
    if (dtype_ == DType::bf16) {
      hidden_.row<std::uint16_t>(r)[c] = base::to_bf16(value);
    } else {
      hidden_.row<float>(r)[c] = value;
    }
  }
  double hidden(std::int64_t r, std::int64_t c) {
    return dtype_ == DType::bf16 ? base::from_bf16(hidden_.row<std::uint16_t>(r)[c]) : hidden_.row<float>(r)[c];
  }
  std::vector<Rank> split(std::int64_t ranks);
  void expected_logits(const std::vector<Rank>& ranks, Plain& out);
  void ask(const std::vector<Rank>& ranks, Plain& expected, Found& found);

  Device& device_;
  DType dtype_;
  std::int64_t rows_, width_, vocabulary_, top_;
  std::vector<float> matrix_;
  Plain hidden_, targets_;
};

std::vector<Rank> Vocabulary::split(std::int64_t ranks) {
  const auto cuts = vocabulary_cuts(vocabulary_);
  const Tensor whole = tensor::matrix(matrix_.data(), DType::f32, vocabulary_, width_);
  std::vector<Rank> list;
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    const std::size_t first = static_cast<std::size_t>(rank * 8 / ranks),
                      last = static_cast<std::size_t>((rank + 1) * 8 / ranks);
    Rank one{device_.pack(whole.rows_from(cuts[first], cuts[last] - cuts[first]), dtype_), {}, cuts[first]};
    for (std::size_t i = first; i <= last; ++i) one.cuts.push_back(cuts[i] - cuts[first]);
    list.push_back(std::move(one));
  }
  return list;
}

// Exactly one rank holds each target.
void Vocabulary::expected_logits(const std::vector<Rank>& ranks, Plain& out) {
  out.fill([](auto, auto) { return 0; });
  for (const Rank& rank : ranks) {
    Plain part(device_, DType::f32, 1, rows_);
    device_.target_logits(hidden_.view(), *rank.head, targets_.view(), rank.first_id, part.view());
    part.read();
    for (std::int64_t r = 0; r < rows_; ++r) out.row<std::uint32_t>(0)[r] |= part.row<std::uint32_t>(0)[r];
  }
  out.write();
}

void Vocabulary::ask(const std::vector<Rank>& ranks, Plain& expected, Found& found) {
  Plain logits(device_, DType::f32, 1, rows_);
  logits.fill([](auto, auto) { return 0; });
  std::vector<std::vector<SoftmaxPart>> parts(static_cast<std::size_t>(rows_));
  found.above.assign(static_cast<std::size_t>(rows_), 0);
  found.top_id.assign(static_cast<std::size_t>(rows_ * top_), -1);
  found.top_logit.assign(static_cast<std::size_t>(rows_ * top_), -infinity);
  for (const Rank& rank : ranks) {
    const auto segments = static_cast<std::int64_t>(rank.cuts.size()) - 1;
    Plain reference(device_, DType::f32, segments, rows_), sum(device_, DType::f32, segments, rows_),
        weighted(device_, DType::f32, segments, rows_), above(device_, DType::i32, 1, rows_),
        here(device_, DType::f32, 1, rows_), top_id(device_, DType::i32, rows_, top_),
        top_logit(device_, DType::f32, rows_, top_);
    device_.score(
        hidden_.view(), *rank.head,
        {.targets = targets_.view(), .first_id = rank.first_id, .cuts = rank.cuts, .target_logits = expected.view()},
        {.reference = reference.view(),
         .sum = sum.view(),
         .weighted = weighted.view(),
         .above = above.view(),
         .found = here.view(),
         .top_id = top_id.view(),
         .top_logit = top_logit.view()});
    for (Plain* one : {&reference, &sum, &weighted, &above, &here, &top_id, &top_logit}) one->read();
    for (std::int64_t r = 0; r < rows_; ++r) {
      const auto row = static_cast<std::size_t>(r), at = static_cast<std::size_t>(r * top_),
                 k = static_cast<std::size_t>(top_);
      for (std::int64_t s = 0; s < segments; ++s)
        parts[row].push_back({reference.row<float>(s)[r], sum.row<float>(s)[r], weighted.row<float>(s)[r]});
      found.above[row] += above.row<std::int32_t>(0)[r];
      logits.row<std::uint32_t>(0)[r] |= here.row<std::uint32_t>(0)[r];
      merge(TopList{std::span(found.top_id).subspan(at, k), std::span(found.top_logit).subspan(at, k)},
            TopList{{top_id.row<std::int32_t>(r), k}, {top_logit.row<float>(r), k}});
    }
  }
  BOOST_TEST((logits.bytes() == expected.bytes()), "logits of targets as the tiles hold them");
  for (std::int64_t r = 0; r < rows_; ++r) {
    // Ranks merge their own segments first.
    const auto& row = parts[static_cast<std::size_t>(r)];
    std::vector<SoftmaxPart> merged;
    for (std::size_t i = 0; i < row.size(); i += row.size() / ranks.size())
      merged.push_back(merge(std::span(row).subspan(i, row.size() / ranks.size())));
    const SoftmaxPart whole = merge(merged);
    found.logprob.push_back(logprob_of(whole, logits.row<float>(0)[r]));
    found.entropy.push_back(entropy_of(whole));
  }
}

Found Vocabulary::run(std::int64_t ranks) {
  Found found;
  const std::vector<Rank> list = split(ranks);
  Plain expected(device_, DType::f32, 1, rows_);
  expected_logits(list, expected);
  ask(list, expected, found);
  return found;
}

void Vocabulary::check_against_doubles(const Found& found) {
  BOOST_TEST(std::isnan(found.logprob[0]));
  BOOST_TEST(std::isnan(found.entropy[0]));
  BOOST_TEST(std::isnan(found.logprob[2]));
  const std::int32_t* targets = targets_.row<std::int32_t>(0);
  BOOST_TEST(found.above[1] == targets[1]);
  std::vector<double> logits(static_cast<std::size_t>(vocabulary_));
  for (std::int64_t r = 3; r < rows_; ++r) {
    double highest = -1e300, sum = 0, weighted = 0;
    for (std::int64_t v = 0; v < vocabulary_; ++v) {
      double dot = 0;
      for (std::int64_t c = 0; c < width_; ++c)
        dot += hidden(r, c) * static_cast<double>(matrix_[static_cast<std::size_t>(v * width_ + c)]);
      logits[static_cast<std::size_t>(v)] = dot;
      highest = std::max(highest, dot);
    }
    for (const double x : logits) sum += std::exp(x - highest);
    const double normaliser = highest + std::log(sum);
    for (const double x : logits) weighted += std::exp(x - normaliser) * x;
    const auto row = static_cast<std::size_t>(r);
    const std::int32_t target = targets[r];
    const double logit = logits[static_cast<std::size_t>(target)];
    BOOST_TEST(std::abs(found.logprob[row] - (logit - normaliser)) < 1e-5);
    BOOST_TEST(std::abs(found.entropy[row] - (normaliser - weighted)) < 1e-5);
    // Twins have equal logits, to the bit; others closer than rounding may change places.
    const auto ahead = [&](double margin) {
      return std::count_if(logits.begin(), logits.end(), [&](double x) { return x > logit + margin; });
    };
    BOOST_TEST(found.above[row] >= ahead(1e-5));
    BOOST_TEST(found.above[row] <= ahead(-1e-5));
    if (found.above[row] < top_)
      BOOST_TEST(found.top_id[static_cast<std::size_t>(r * top_ + found.above[row])] == target);
    std::sort(logits.begin(), logits.end(), std::greater<>());
    for (std::int64_t i = 0; i < std::min(top_, vocabulary_); ++i) {
      const auto at = static_cast<std::size_t>(r * top_ + i);
      BOOST_TEST(std::abs(found.top_logit[at] - logits[static_cast<std::size_t>(i)]) < 1e-5);
      if (i > 0 && found.top_logit[at] == found.top_logit[at - 1]) BOOST_TEST(found.top_id[at] > found.top_id[at - 1]);
    }
  }
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace

void check_split_vocabulary(Device& device) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::int64_t vocabulary : {3, 512, 3072, 5000, 128256}) {
      const bool large = vocabulary > 10000;
      Vocabulary head(device, dtype, large ? 5 : 70, large ? 24 : 64, vocabulary, 7);
      const Found one = head.run(1);
      head.check_against_doubles(one);
      for (const std::int64_t ranks : {2, 4, 8}) {
        const Found parts = head.run(ranks);
        BOOST_TEST(same(parts.logprob, one.logprob), "logprob of " << vocabulary << " by " << ranks);
        BOOST_TEST(same(parts.entropy, one.entropy), "entropy of " << vocabulary << " by " << ranks);
        BOOST_TEST(same(parts.above, one.above), "ranks of " << vocabulary << " by " << ranks);
        BOOST_TEST(same(parts.top_id, one.top_id), "best ids of " << vocabulary << " by " << ranks);
        BOOST_TEST(same(parts.top_logit, one.top_logit), "best logits of " << vocabulary << " by " << ranks);
      }
    }
}

}  // namespace thresher::device::contract
