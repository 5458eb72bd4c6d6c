#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "cost_fixture.h"
#include "thresher/base/check.h"
#include "thresher/base/file.h"
#include "thresher/schedule/layouts.h"
#include "thresher/schedule/plan_report.h"

using namespace thresher::schedule;
namespace base = thresher::base;
namespace model = thresher::model;

namespace {

const base::Path configs = base::Path(THRESHER_SOURCE_DIR) / "configs";

Demand llama(const std::string& size) {
  Demand demand;
  const std::string file = "models/llama-" + size + ".json";
  demand.config = model::parse_config(base::read_all(base::real_files(), configs / file, 1 << 20), file);
  const LengthClass lengths[] = {{2048, 1e7}};
  demand.load = load_of(lengths, {.window = 8192, .stride = 4096}, 0, 8e10);
  return demand;
}

Machine h100(int nodes) {
  Machine machine = read_machine(base::real_files(), configs / "h100x8.json");
  machine.nodes = nodes;
  return machine;
}

const Candidate& candidate(const std::vector<Candidate>& all, const Layout& layout) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Candidate& one) { return one.cost.layout == layout; });
  BOOST_TEST_REQUIRE((found != all.end()));
  return *found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layouts)

BOOST_AUTO_TEST_CASE(all_layouts_and_each_once) {
  const Demand demand = small_demand();
  const auto candidates = rank_layouts(demand, round_machine(), 16);
  // tp 1: pp 1 2 4 8 16; tp 2: 1 2 4 8; tp 4: 1 2 4; tp 8: 1 2.
  BOOST_TEST(candidates.size() == 14u);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    BOOST_TEST(candidates[i].cost.layout.ranks() == 16);
    BOOST_TEST(candidates[i].reason.empty() == (i == 0));
    for (std::size_t j = 0; j < i; ++j) BOOST_TEST(!(candidates[i].cost.layout == candidates[j].cost.layout));
  }
}

BOOST_AUTO_TEST_CASE(data_parallel_alone_where_the_model_fits) {
  BOOST_TEST((rank_layouts(llama("1b"), h100(8), 64).front().cost.layout == Layout{64, 1, 1}));
  BOOST_TEST((rank_layouts(llama("8b"), h100(1), 8).front().cost.layout == Layout{8, 1, 1}));
}

BOOST_AUTO_TEST_CASE(few_stages_where_it_does_not) {
  const auto large = rank_layouts(llama("70b"), h100(8), 64);
  BOOST_TEST(large.front().fits);
  BOOST_TEST(large.front().cost.layout.shards == 1);
  BOOST_TEST(large.front().cost.layout.stages <= 4);
  BOOST_TEST(!large.front().cost.streams());
  Demand resident = llama("70b");
  resident.streaming = model::Streaming::off;
  const auto without = rank_layouts(resident, h100(8), 64);
  const Candidate& whole = candidate(without, {64, 1, 1});
  BOOST_TEST(!whole.fits);
  BOOST_TEST(whole.reason.find("needs 13") == 0u);
  BOOST_TEST(candidate(large, {8, 1, 8}).reason.find("sums over tensor shards") != std::string::npos);
  const auto largest = rank_layouts(llama("405b"), h100(8), 64);
  BOOST_TEST((largest.front().cost.layout == Layout{4, 16, 1}));
}

// 70B on one GPU of 80 GB, 405B on a node of eight whose memory is too small even cut in eight.
BOOST_AUTO_TEST_CASE(what_fits_no_gpu_is_streamed) {
  const auto one = rank_layouts(llama("70b"), h100(1), 1);
  BOOST_TEST(one.front().fits);
  BOOST_TEST(one.front().cost.streams());
  const Cost& cost = one.front().cost;
  const Memory& memory = cost.stages.front().memory;
  BOOST_TEST(memory.layers == 80);
  BOOST_TEST(memory.streamed >= 40);
  BOOST_TEST(memory.streamed < 80);
  BOOST_TEST(memory.total() < 0.95 * 79.1 * (1 << 30));
  BOOST_TEST(cost.stages.front().time.copies < 0.02 * cost.batch_seconds);
  BOOST_TEST(cost.tokens_per_second > 4000);  // 4,800 at full speed

  // With half the link the batch is larger, and a given one waits.
  Machine slow = h100(1);
  slow.copy = 12.5e9;
  BOOST_TEST(cost_of(llama("70b"), slow, {1, 1, 1}).batch_tokens > 1.2 * cost.batch_tokens);
  Demand small = llama("70b");
  small.tokens_per_batch = 4096;
  const Cost waits = cost_of(small, h100(1), {1, 1, 1});
  BOOST_TEST(waits.stages.front().time.copies > 0.3 * waits.batch_seconds);

  const auto node = rank_layouts(llama("405b"), h100(1), 8);
  BOOST_TEST(node.front().fits);
  BOOST_TEST(node.front().cost.layout.shards == 1);
  BOOST_TEST(node.front().cost.streams());
  Demand resident = llama("405b");
  resident.streaming = model::Streaming::off;
  BOOST_TEST(!rank_layouts(resident, h100(1), 8).front().fits);
  // Eight copies of 405B do not fit the host's memory.
  const Candidate& copies = candidate(node, {8, 1, 1});
  BOOST_TEST(!copies.fits);
  BOOST_TEST(copies.reason.find("on a node for streamed layers") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(groups_across_nodes_lose) {
  Machine machine = h100(8);
  const Cost inside = cost_of(llama("70b"), machine, {8, 1, 8});
  machine.nodes = 16;  // four ranks a node
  const Cost across = cost_of(llama("70b"), machine, {8, 1, 8});
  BOOST_TEST(!inside.groups_span_nodes);
  BOOST_TEST(across.groups_span_nodes);
  BOOST_TEST(across.tokens_per_second < 0.5 * inside.tokens_per_second);
}

BOOST_AUTO_TEST_CASE(published_shapes_on_an_h100) {
  // By hand from the same rates (FLOP of a token / rate, sum over products, head, attention and vectors).
  const auto rate = [&](const char* size, const Layout& layout) {
    return cost_of(llama(size), h100(std::max(1, layout.ranks() / 8)), layout).tokens_per_second / layout.ranks();
  };
  BOOST_TEST(rate("8b", {8, 1, 1}) == 42200, boost::test_tools::tolerance(0.01));
  BOOST_TEST(rate("1b", {8, 1, 1}) == 223000, boost::test_tools::tolerance(0.02));
  BOOST_TEST(rate("8b", {1, 1, 8}) == 21700, boost::test_tools::tolerance(0.02));
  BOOST_TEST(rate("70b", {4, 2, 1}) == 4820, boost::test_tools::tolerance(0.02));
  BOOST_TEST(rate("405b", {4, 16, 1}) == 850, boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(automatic_layouts) {
  constexpr std::int64_t gib = std::int64_t{1} << 30;
  // 8 B parameters in bf16: 15 GiB of weights and the table.
  const Demand demand = llama("8b");
  BOOST_TEST((choose_layout(demand, {{1}, {64 * gib}, 16}) == Layout{1, 1, 1}));
  BOOST_TEST((choose_layout(demand, {{1, 1}, {64 * gib, 64 * gib}, 16}) == Layout{2, 1, 1}));
  BOOST_TEST((choose_layout(demand, {{1, 1}, {12 * gib, 64 * gib}, 16}) == Layout{1, 2, 1}));
  BOOST_TEST((choose_layout(demand, {{2, 2}, {12 * gib, 12 * gib}, 16}) == Layout{1, 4, 1}));
  BOOST_TEST((choose_layout(demand, {{2, 2}, {24 * gib, 24 * gib}, 16}) == Layout{2, 2, 1}));
  Demand short_job = demand;
  const LengthClass few[] = {{100, 20}};
  short_job.load = load_of(few, {.window = 512, .stride = 256}, 0, 8000);
  BOOST_TEST((choose_layout(short_job, {{4}, {128 * gib}, 16}) == Layout{4, 1, 1}));
  BOOST_CHECK_EXCEPTION(choose_layout(demand, {{1, 1}, {4 * gib, 4 * gib}, 16}), base::Error, [](const auto& error) {
    return error.code() == base::Exit::config &&
           std::string(error.what()).find("does not fit 2 ranks on 2 hosts") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(automatic_layouts_of_gpus) {
  constexpr std::int64_t gib = std::int64_t{1} << 30;
  const auto on = [](const char* size, const std::vector<int>& ranks, std::int64_t gpu_memory) {
    return choose_layout(llama(size), {.ranks = ranks,
                                       .memory = std::vector<std::int64_t>(ranks.size(), 16 * gib),
                                       .cores = 4,
                                       .gpu_memory = gpu_memory});
  };
  // The hosts' memory is no bound: 16 GiB would not hold the weights.
  BOOST_TEST((on("8b", {8}, 79 * gib) == Layout{8, 1, 1}));
  BOOST_TEST((on("8b", {8}, 16 * gib) == Layout{4, 2, 1}));
  BOOST_TEST((on("70b", {8}, 79 * gib) == Layout{4, 2, 1}));
  BOOST_TEST((on("70b", {8, 8}, 47 * gib) == Layout{4, 4, 1}));
  BOOST_TEST((on("405b", {8, 8}, 79 * gib) == Layout{1, 16, 1}));
  // Streamed layers lie there, though.
  BOOST_CHECK_EXCEPTION(on("70b", {1}, 79 * gib), base::Error, [](const auto& error) {
    BOOST_TEST_MESSAGE(error.what());
    return error.code() == base::Exit::config &&
           std::string(error.what()).find("on a node for streamed layers") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(machine_files) {
  for (const char* name : {"h100x8.json", "workstation.json", "cpu-cluster.json"}) {
    const Machine machine = read_machine(base::real_files(), configs / name);
    BOOST_TEST(rates_of(machine, thresher::tensor::DType::bf16).layers.at(4096) > 0);
    BOOST_CHECK_THROW(rates_of(machine, thresher::tensor::DType::f16), base::Error);
  }
  const std::string text = base::read_all(base::real_files(), configs / "h100x8.json", 1 << 20);
  const auto refuses = [&](const std::string& from, const std::string& to, const std::string& word) {
    std::string edited = text;
    const auto at = edited.find(from);
    BOOST_TEST_REQUIRE(at != std::string::npos);
    edited.replace(at, from.size(), to);
    BOOST_CHECK_EXCEPTION(parse_machine(edited, "x.json"), base::Error, [&](const base::Error& error) {
      BOOST_TEST_MESSAGE(error.what());
      return error.code() == base::Exit::data && std::string(error.what()).find(word) != std::string::npos;
    });
  };
  refuses("{", "[", "x.json is not JSON");
  refuses("\"devices\": 8", "\"devices\": 0", "devices is 0");
  refuses("\"devices\": 8", "\"devices\": \"8\"", "devices has to be a whole number");
  refuses("\"devices\": 8", "\"gadgets\": 8", "devices is missing");
  refuses("\"cores\"", "\"kerne\": 1, \"cores\"", "kerne is not a field");
  refuses("\"cuda\"", "\"tpu\"", "has to be cpu or cuda");
  refuses("[2048, 680]", "[8192, 680]", "rise");
  refuses("2700", "-1", "elementwise_gb_per_second is -1");
}

BOOST_AUTO_TEST_CASE(curves) {
  const Curve curve({{100, 10}, {400, 30}});
  BOOST_TEST(curve.at(1) == 10);
  BOOST_TEST(curve.at(100) == 10);
  BOOST_TEST(curve.at(200) == 20, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(curve.at(1e9) == 30);
  BOOST_TEST(Curve(7).at(3) == 7);
}

BOOST_AUTO_TEST_SUITE_END()
