#include <boost/test/unit_test.hpp>
#include <cmath>

#include "cost_fixture.h"
#include "thresher/base/check.h"

using namespace thresher::schedule;
using thresher::engine::WindowRule;
namespace model = thresher::model;

BOOST_AUTO_TEST_SUITE(cost)

BOOST_AUTO_TEST_CASE(loads_count_what_windows_feed) {
  const WindowRule rule{.window = 100, .stride = 50};
  // With one token in front and the last one not fed: 10 documents of 20 tokens, fed 20 and scored 20 each.
  const LengthClass fitting[] = {{20, 10}};
  const Load one = load_of(fitting, rule, 1, 800);
  BOOST_TEST(one.fed == 200);
  BOOST_TEST(one.scored == 200);
  BOOST_TEST(one.keys == 10 * 20 * 21 / 2);
  BOOST_TEST(one.longest == 20);
  BOOST_TEST(one.text_bytes == 800);
  // 149 tokens: a window that scores 99 of them, and one that scores the other 50 and reaches back.
  const LengthClass long_one[] = {{149, 1}};
  const Load two = load_of(long_one, rule, 1, 0);
  BOOST_TEST(two.fed == 198);
  BOOST_TEST(two.scored == 149);
  BOOST_TEST(two.longest == 99);
  // Means between whole numbers are both of them.
  const LengthClass mixed[] = {{2.25, 4}};
  BOOST_TEST(load_of(mixed, rule, 0, 0).fed == 3 * 1 + 1 * 2);
}

BOOST_AUTO_TEST_CASE(one_rank_is_the_plain_formula) {
  const Demand demand = small_demand();
  const Machine machine = round_machine();
  const Cost cost = cost_of(demand, machine, {1, 1, 1});
  const model::ModelConfig& config = demand.config;
  const double tokens = 1000, scored = tokens * demand.load.scored / demand.load.fed,
               keys = demand.load.keys / demand.load.fed;
  const StageTime& time = cost.stages.front().time;
  BOOST_TEST(time.products == tokens * config.block_flops() / 1e9, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(time.head == scored * config.head_flops() / 2e9, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(time.attention == tokens * keys * config.attention_flops() / 5e8, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(time.reduce == 0);
  BOOST_TEST(time.boundary == 0);
  BOOST_TEST(cost.fill == 0);
  BOOST_TEST(cost.tail == 0);
  BOOST_TEST(cost.imbalance == 0, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(cost.tokens_per_second == scored / time.total(), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(cost.seconds == demand.load.scored / cost.tokens_per_second, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(memory_is_the_sum_of_its_parts) {
  const Demand demand = small_demand();
  const Machine machine = round_machine();
  for (const Layout& layout : {Layout{1, 1, 1}, Layout{2, 2, 1}, Layout{1, 4, 2}, Layout{1, 1, 8}}) {
    const Cost cost = cost_of(demand, machine, layout);
    double weights = 0;
    for (const StageCost& stage : cost.stages) {
      const Memory& memory = stage.memory;
      BOOST_TEST(memory.total() == std::max(memory.loading, memory.weights + memory.activations + memory.exchange +
                                                                memory.rows + memory.gather + memory.base));
      BOOST_TEST((memory.exchange > 0) == (layout.stages * layout.shards > 1));
      weights += memory.weights * layout.shards;
    }
    // All ranks of a replica hold the model once: uneven shards, key heads held twice and norms make it a bit more.
    const double once = cost_of(demand, machine, {1, 1, 1}).stages.front().memory.weights;
    BOOST_TEST(weights >= 0.999 * once);
    BOOST_TEST(weights <= 1.6 * once);
  }
}

BOOST_AUTO_TEST_CASE(what_is_faster_is_never_slower) {
  const Demand demand = small_demand();
  const Machine plain = round_machine();
  for (const Layout& layout : {Layout{1, 1, 1}, Layout{2, 2, 1}, Layout{1, 2, 2}, Layout{1, 8, 1}, Layout{2, 1, 4}}) {
    const double before = cost_of(demand, plain, layout).tokens_per_second;
    for (double Machine::*rate : {&Machine::elementwise, &Machine::storage_write}) {
      Machine machine = plain;
      machine.*rate *= 2;
      BOOST_TEST(cost_of(demand, machine, layout).tokens_per_second >= before);
    }
    for (Link Machine::*link : {&Machine::inside, &Machine::between}) {
      Machine machine = plain;
      (machine.*link).bandwidth *= 2;
      BOOST_TEST(cost_of(demand, machine, layout).tokens_per_second >= before);
      (machine.*link).latency = 0;
      BOOST_TEST(cost_of(demand, machine, layout).tokens_per_second >= before);
    }
  }
}

BOOST_AUTO_TEST_CASE(ranks_that_share_cores_share_their_speed) {
  const Demand demand = small_demand();
  Machine machine = round_machine();
  machine.cores = 2;
  const double alone = cost_of(demand, machine, {1, 1, 1}).tokens_per_second;
  // Two threads in one rank, or one in each of two: the same cores. The uneven end is all that differs.
  const Cost two = cost_of(demand, machine, {2, 1, 1});
  BOOST_TEST(two.tokens_per_second / (1 - two.tail) == alone, boost::test_tools::tolerance(1e-9));
  // Eight ranks on the two cores are not faster.
  const Cost eight = cost_of(demand, machine, {8, 1, 1});
  BOOST_TEST(eight.sharing == 4, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(eight.tokens_per_second <= alone);
  // A pipeline of two on a core each is as fast as its slower half; of two on one core, as their sum.
  const Cost pipeline = cost_of(demand, machine, {1, 2, 1});
  BOOST_TEST(pipeline.sharing == 1, boost::test_tools::tolerance(1e-9));
  machine.cores = 1;
  machine.rates["bf16"] = {Curve(0.5e9), Curve(1e9), Curve(0.25e9)};
  machine.elementwise /= 2;
  const Cost shared = cost_of(demand, machine, {1, 2, 1});
  BOOST_TEST(shared.batch_seconds == shared.stages[0].time.total() + shared.stages[1].time.total(),
             boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(short_jobs_pay_for_filling) {
  Demand demand = small_demand();
  const Machine machine = round_machine();
  const double long_fill = cost_of(demand, machine, {1, 4, 1}).fill;
  const LengthClass few[] = {{100, 100}};
  demand.load = load_of(few, {.window = 512, .stride = 256}, 0, 4e4);
  const Cost cost = cost_of(demand, machine, {1, 4, 1});
  BOOST_TEST(cost.fill > long_fill);
  BOOST_TEST(cost.fill == 3 / (3 + demand.load.fed / 1000), boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(output_decides_its_own_way) {
  Demand demand = small_demand();
  demand.columns = {.pairs = false, .per_token = true, .top_k = 10};
  const double documents = demand.load.documents;
  BOOST_TEST(output_bytes(demand) == demand.load.scored * (16 + 80) + documents * (1 + 32 + 8 + 12 + 8));
  BOOST_TEST((output_mode(1e9) == OutputMode::gather));
  BOOST_TEST((output_mode(1e12) == OutputMode::sharded));
  Machine machine = round_machine();
  machine.storage_write = 1e3;
  const Cost cost = cost_of(demand, machine, {1, 1, 1});
  BOOST_TEST(cost.seconds == output_bytes(demand) / 1e3, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(impossible_layouts) {
  const Demand demand = small_demand();
  const Machine machine = round_machine();
  BOOST_CHECK_THROW(cost_of(demand, machine, {1, 1, 3}), thresher::base::Error);
  BOOST_CHECK_THROW(cost_of(demand, machine, {1, 17, 1}), thresher::base::Error);
}

BOOST_AUTO_TEST_SUITE_END()
