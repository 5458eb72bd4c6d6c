#include "thresher/device/softmax.h"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace thresher::device {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

SoftmaxPart part_of(std::span<const double> logits) {
  SoftmaxPart part;
  double sum = 0, weighted = 0;
  for (const double x : logits) part.reference = std::max(part.reference, static_cast<float>(x) * log2_e);
  for (const double x : logits) {
    const double t = x * static_cast<double>(log2_e) - static_cast<double>(part.reference);
    sum += std::exp2(t);
    weighted += std::exp2(t) * t;
  }
  part.sum = static_cast<float>(sum);
  part.weighted = static_cast<float>(weighted);
  return part;
}

bool same_bits(const SoftmaxPart& a, const SoftmaxPart& b) {
  return std::memcmp(&a, &b, sizeof(SoftmaxPart)) == 0;
}

BOOST_AUTO_TEST_SUITE(softmax)

BOOST_AUTO_TEST_CASE(cuts_of_a_vocabulary) {
  const auto expect = [](std::int64_t vocabulary, const std::vector<std::int64_t>& wanted) {
    const auto cuts = vocabulary_cuts(vocabulary);
    BOOST_TEST(std::vector<std::int64_t>(cuts.begin(), cuts.end()) == wanted, boost::test_tools::per_element());
  };
  expect(0, {0, 0, 0, 0, 0, 0, 0, 0, 0});
  expect(512, {0, 0, 0, 0, 0, 0, 0, 0, 512});
  expect(3072, {0, 0, 0, 1024, 1024, 1024, 2048, 2048, 3072});
  expect(5000, {0, 0, 1024, 1024, 2048, 3072, 3072, 4096, 5000});
  expect(8192, {0, 1024, 2048, 3072, 4096, 5120, 6144, 7168, 8192});
  expect(128256, {0, 15360, 31744, 48128, 64512, 79872, 96256, 112640, 128256});
}

BOOST_AUTO_TEST_CASE(parts_merge_to_the_whole) {
  std::mt19937_64 generator(1);
  std::normal_distribution<double> normal(0, 6);
  std::vector<double> logits(800);
  for (double& x : logits) x = static_cast<float>(normal(generator));
  const std::span<const double> all(logits);
  std::vector<SoftmaxPart> parts;
  for (std::size_t i = 0; i < 8; ++i) parts.push_back(part_of(all.subspan(i * 100, 100)));
  double sum = 0, weighted = 0;
  for (const double x : logits) sum += std::exp(x);
  for (const double x : logits) weighted += std::exp(x) / sum * x;
  const SoftmaxPart whole = merge(parts);
  BOOST_TEST(std::abs(logprob_of(whole, 3.5f) - (3.5 - std::log(sum))) < 1e-5);
  BOOST_TEST(std::abs(entropy_of(whole) - (std::log(sum) - weighted)) < 1e-5);

  const auto by_hand = merge(merge(merge(parts[0], parts[1]), merge(parts[2], parts[3])),
                             merge(merge(parts[4], parts[5]), merge(parts[6], parts[7])));
  BOOST_TEST(same_bits(whole, by_hand));
  BOOST_CHECK_THROW(merge(std::span(parts).first(3)), std::exception);
}

BOOST_AUTO_TEST_CASE(a_part_without_logits_changes_no_bit) {
  for (const SoftmaxPart part : {SoftmaxPart{3.25f, 1.7f, -0.3f}, SoftmaxPart{-0.0f, 1, -0.0f}, SoftmaxPart{}}) {
    BOOST_TEST(same_bits(merge(part, {}), part));
    BOOST_TEST(same_bits(merge({}, part), part));
  }
}

BOOST_AUTO_TEST_CASE(broken_logits_stay_broken) {
  const float nan = std::nanf("");
  const SoftmaxPart fine{2, 1.5f, -0.2f};
  for (const SoftmaxPart broken : {SoftmaxPart{2, nan, nan}, SoftmaxPart{nan, nan, nan},
                                   SoftmaxPart{infinity, nan, nan}, SoftmaxPart{-infinity, nan, nan}})
    for (const SoftmaxPart& whole : {merge(fine, broken), merge(broken, fine), merge(broken, {}), merge({}, broken)})
      for (const float value : {logprob_of(whole, 1), logprob_of(whole, -nan), entropy_of(whole)}) {
        const float quiet = std::numeric_limits<float>::quiet_NaN();
        BOOST_TEST(std::memcmp(&value, &quiet, 4) == 0);
      }
  BOOST_TEST(std::isnan(logprob_of({}, -infinity)));
}

BOOST_AUTO_TEST_CASE(best_of_two_lists) {
  using Ids = std::vector<std::int32_t>;
  using Logits = std::vector<float>;
  const auto merged = [](Ids ids, Logits logits, Ids other, Logits others, const Ids& wanted) {
    const Logits before = others;
    merge(TopList{ids, logits}, TopList{other, others});
    BOOST_TEST(ids == wanted, boost::test_tools::per_element());
    for (std::size_t i = 1; i < logits.size(); ++i) BOOST_TEST(logits[i - 1] >= logits[i]);
  };
  merged({-1, -1, -1}, {-infinity, -infinity, -infinity}, {5, 3, -1}, {2, 1, -infinity}, {5, 3, -1});
  merged({7, 8, 9}, {3, 2, 1}, {-1, -1, -1}, {-infinity, -infinity, -infinity}, {7, 8, 9});
  merged({7, 8, 9}, {3, 2, 1}, {1, 2, 3}, {3, 2, 2}, {1, 7, 2});
  merged({1, 2, 3}, {3, 2, 2}, {7, 8, 9}, {3, 2, 1}, {1, 7, 2});
  merged({1, 4, -1}, {0, -infinity, -infinity}, {2, 3, -1}, {-infinity, -infinity, -infinity}, {1, 2, 3});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device
