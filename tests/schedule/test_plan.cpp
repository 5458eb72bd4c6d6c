#include <boost/test/unit_test.hpp>
#include <numeric>
#include <vector>

#include "thresher/schedule/plan.h"

using thresher::schedule::default_shard_bytes;
using thresher::schedule::ShardCutter;

BOOST_AUTO_TEST_SUITE(plan)

BOOST_AUTO_TEST_CASE(a_shard_ends_at_its_documents_or_its_bytes) {
  ShardCutter cutter({3, 100});
  for (std::int64_t bytes : {10, 10, 10, 60, 60, 500, 1}) cutter.add(bytes);
  const auto starts = cutter.finish();
  BOOST_TEST((starts == std::vector<std::int64_t>{0, 3, 5, 6, 7}));
  BOOST_TEST((cutter.weights() == std::vector<std::int64_t>{30, 120, 500, 1}));
  BOOST_TEST(cutter.longest() == 500);
}

BOOST_AUTO_TEST_CASE(an_empty_corpus_has_no_shards) {
  ShardCutter cutter({3, 100});
  BOOST_TEST((cutter.finish() == std::vector<std::int64_t>{0}));
}

BOOST_AUTO_TEST_CASE(the_default_size_follows_the_corpus_within_bounds) {
  BOOST_TEST(default_shard_bytes(0) == 256 << 10);
  BOOST_TEST(default_shard_bytes(std::int64_t{1} << 30) == 1 << 20);
  BOOST_TEST(default_shard_bytes(std::int64_t{1} << 50) == 64 << 20);
}

BOOST_AUTO_TEST_SUITE_END()
