#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <numeric>

#include "thresher/base/check.h"
#include "thresher/model/make_model.h"
#include "thresher/model/partition.h"

using namespace thresher::model;

namespace {

ModelConfig shape(const char* name) {
  return parse_config(config_text(named_shape(name)), name);
}

ModelConfig shape(std::int64_t queries, std::int64_t keys, std::int64_t inner, std::int64_t vocabulary) {
  MakeModel model;
  model.query_heads = queries;
  model.kv_heads = keys;
  model.intermediate = inner;
  model.vocabulary = vocabulary;
  return parse_config(config_text(model), "made");
}

double slowest(const ModelConfig& config, const std::vector<Range>& stages, std::int64_t length) {
  const auto costs = half_flops(config, length);
  double most = 0;
  for (const Range& stage : stages) {
    double cost = stage == stages.back() ? config.head_flops() : 0;
    for (std::int64_t half = stage.first; half < stage.last; ++half) cost += costs[static_cast<std::size_t>(half)];
    most = std::max(most, cost);
  }
  return most;
}

// The best division of halves [first, last) there is, by trying all.
double best(const std::vector<double>& costs, std::size_t first, int stages) {
  if (stages == 1) return std::accumulate(costs.begin() + static_cast<std::ptrdiff_t>(first), costs.end(), 0.0);
  double least = 1e300, cost = 0;
  for (std::size_t last = first + 1; last + static_cast<std::size_t>(stages) - 1 <= costs.size(); ++last) {
    cost += costs[last - 1];
    least = std::min(least, std::max(cost, best(costs, last, stages - 1)));
  }
  return least;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(partition)

BOOST_AUTO_TEST_CASE(shards_cover_everything_once) {
  for (const auto& config : {shape("llama-1b"), shape("tiny"), shape(3, 1, 100, 384), shape(12, 4, 172, 5000),
                             shape(6, 6, 16, 128256), shape(64, 8, 28672, 32000)}) {
    const std::int64_t group = config.query_heads / config.kv_heads;
    for (const int shards : {1, 2, 4, 8}) {
      Range heads, width, ids;
      for (int shard = 0; shard < shards; ++shard) {
        const Part part{{0, 2 * config.layers}, shard, shards, true};
        const Range queries = query_heads(part, config), keys = kv_heads(part, config);
        BOOST_TEST(queries.first == heads.last);
        BOOST_TEST(inner(part, config).first == width.last);
        BOOST_TEST(vocabulary(part, config).first == ids.last);
        heads = queries;
        width = inner(part, config);
        ids = vocabulary(part, config);
        for (std::int64_t head = queries.first; head < queries.last; ++head)
          BOOST_TEST((head / group >= keys.first && head / group < keys.last));
        BOOST_TEST(keys.count() <= (queries.count() + 2 * group - 2) / group);
      }
      BOOST_TEST(heads.last == config.query_heads);
      BOOST_TEST(width.last == config.intermediate);
      BOOST_TEST(ids.last == config.vocabulary);
    }
  }
}

BOOST_AUTO_TEST_CASE(real_shards_are_cut_like_the_whole) {
  const ModelConfig config = shape(12, 4, 172, 5000);
  const std::vector<std::int64_t> all = inner_cuts(config);
  for (const int shards : {1, 2, 4, 8})
    for (int shard = 0; shard < shards; ++shard) {
      Part part{{0, 2}, shard, shards, true};
      const std::vector<std::int64_t> inside = cuts_inside(part, all);
      BOOST_TEST(inside.size() == static_cast<std::size_t>(virtual_shards / shards + 1));
      for (std::size_t i = 0; i < inside.size(); ++i)
        BOOST_TEST(inner(part, config).first + inside[i] == all[static_cast<std::size_t>(held_shards(part).first) + i]);
      part.exact = false;
      BOOST_TEST(cuts_inside(part, all) == (std::vector<std::int64_t>{0, inner(part, config).count()}),
                 boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(stages_are_as_even_as_half_layers_allow) {
  for (const char* name : {"llama-1b", "llama-small", "tiny"}) {
    const ModelConfig config = shape(name);
    for (int stages = 1; stages <= std::min<int>(4, static_cast<int>(2 * config.layers)); ++stages) {
      const auto ranges = cut_stages(config, stages, 512);
      BOOST_TEST(ranges.size() == static_cast<std::size_t>(stages));
      BOOST_TEST(ranges.front().first == 0);
      BOOST_TEST(ranges.back().last == 2 * config.layers);
      for (std::size_t i = 0; i < ranges.size(); ++i) {
        BOOST_TEST(ranges[i].count() >= 1);
        if (i > 0) BOOST_TEST(ranges[i].first == ranges[i - 1].last);
      }
      std::vector<double> costs = half_flops(config, 512);
      costs.back() += config.head_flops();
      BOOST_TEST(slowest(config, ranges, 512) == best(costs, 0, stages), boost::test_tools::tolerance(1e-12));
    }
    BOOST_CHECK_THROW(cut_stages(config, static_cast<int>(2 * config.layers) + 1, 512), thresher::base::Error);
  }
}

BOOST_AUTO_TEST_CASE(parameters_add_up) {
  const ModelConfig config = shape("llama-1b");
  const std::int64_t table = config.vocabulary * config.hidden, norms = (2 * config.layers + 1) * config.hidden;
  BOOST_TEST(parameters(whole(config), config) == config.parameters() + table);  // the tied head is held twice
  for (const int shards : {2, 4, 8})
    for (const int stages : {1, 2, 3}) {
      std::int64_t sum = 0;
      for (const Range& halves : cut_stages(config, stages, 512))
        for (int shard = 0; shard < shards; ++shard) sum += parameters({halves, shard, shards, true}, config);
      BOOST_TEST(sum == config.parameters() + table + (shards - 1) * norms);
    }
}

BOOST_AUTO_TEST_SUITE_END()
