#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>

#include "thresher/engine/pack.h"

using thresher::engine::pack;

BOOST_AUTO_TEST_SUITE(packing)

BOOST_AUTO_TEST_CASE(every_sequence_is_in_one_group_and_no_group_is_over_budget) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::int32_t> lengths(1 + random() % 300);
    for (auto& length : lengths) length = 1 + static_cast<std::int32_t>(random() % 700);
    std::vector<int> seen(lengths.size());
    for (const auto& group : pack(lengths, 512)) {
      std::int64_t tokens = 0;
      for (auto index : group.members) {
        ++seen[index];
        tokens += lengths[index];
      }
      BOOST_TEST(tokens == group.tokens);
      BOOST_TEST((tokens <= 512 || group.members.size() == 1));
    }
    BOOST_TEST(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
  }
}

BOOST_AUTO_TEST_CASE(short_documents_fill_their_batches) {
  // Web-like lengths: log-normal, clipped to the budget.
  std::mt19937 random(11);
  std::lognormal_distribution<double> lengths_of(4, 1);
  std::vector<std::int32_t> lengths(4000);
  std::int64_t total = 0;
  for (auto& length : lengths) total += length = std::clamp(static_cast<std::int32_t>(lengths_of(random)), 1, 1024);
  const auto groups = pack(lengths, 1024);
  BOOST_TEST(static_cast<double>(total) / (1024.0 * static_cast<double>(groups.size())) >= 0.98);
}

BOOST_AUTO_TEST_CASE(nothing_packs_to_nothing) {
  BOOST_TEST(pack({}, 10).empty());
}

BOOST_AUTO_TEST_SUITE_END()
