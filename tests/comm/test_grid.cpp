#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>
#include <string>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/comm/grid.h"

namespace comm = thresher::comm;
using comm::Layout;
using comm::Place;
using Hosts = std::vector<std::string>;

namespace {

// "replica stage shard" as three digits for each rank.
std::string text(const comm::Placement& placement) {
  std::string text;
  for (const Place& place : placement.places) {
    text += (text.empty() ? "" : " ") + std::to_string(place.replica) + std::to_string(place.stage) +
            std::to_string(place.shard);
  }
  return text;
}

// Whether it is thrown with every one of the words.
auto says(const std::vector<std::string>& words) {
  return [words](const thresher::base::Error& error) {
    bool all = error.code() == thresher::base::Exit::usage;
    for (const std::string& word : words) all = all && std::string(error.what()).find(word) != std::string::npos;
    if (!all) BOOST_TEST_MESSAGE(error.what());
    return all;
  };
}

Hosts by_slot(int hosts, int ranks_each) {
  Hosts names;
  for (int r = 0; r < hosts * ranks_each; ++r) names.push_back("n" + std::to_string(r / ranks_each));
  return names;
}

Hosts by_node(int hosts, int ranks_each) {
  Hosts names;
  for (int r = 0; r < hosts * ranks_each; ++r) names.push_back("n" + std::to_string(r % hosts));
  return names;
}

}  // namespace

BOOST_AUTO_TEST_CASE(layouts_are_read_and_written) {
  BOOST_TEST((Layout::parse("dp=2,pp=3,tp=4") == Layout{2, 3, 4}));
  BOOST_TEST((Layout::parse("tp=8") == Layout{1, 1, 8}));
  BOOST_TEST((Layout::parse("pp=2,dp=5") == Layout{5, 2, 1}));
  BOOST_TEST((Layout{2, 2, 1}).text() == "dp=2,pp=2,tp=1");
  BOOST_TEST(Layout::parse("tp=2,dp=3").ranks() == 6);
}

BOOST_AUTO_TEST_CASE(wrong_layouts_are_refused) {
  using thresher::base::Error;
  for (const char* text : {"", "dp", "dp=", "dp=x", "dp=2,", "dp=2,dp=2", "ep=2", "dp=0", "pp=-1", "dp= 2", "dp=2x",
                           "dp=99999999999999999999", "dp=2000000000,pp=2000000000,tp=8", "dp=1048577"}) {
    BOOST_TEST_CONTEXT(text) BOOST_CHECK_EXCEPTION(Layout::parse(text), Error, says({"--layout " + std::string(text)}));
  }
  for (const char* text : {"tp=3", "tp=0", "tp=16"}) {
    BOOST_TEST_CONTEXT(text) BOOST_CHECK_EXCEPTION(Layout::parse(text), Error, says({"1, 2, 4 or 8", text}));
  }
  BOOST_CHECK_EXCEPTION(comm::place_ranks({2, 2, 1}, by_slot(1, 3)), Error, says({"4 ranks", "there are 3"}));
  BOOST_CHECK_EXCEPTION(comm::place_ranks({1, 1, 3}, by_slot(1, 3)), Error, says({"1, 2, 4 or 8"}));
}

BOOST_AUTO_TEST_CASE(ranks_fill_shards_then_stages_then_replicas) {
  BOOST_TEST(text(comm::place_ranks({2, 2, 2}, by_slot(1, 8))) == "000 001 010 011 100 101 110 111");
  BOOST_TEST(text(comm::place_ranks({1, 1, 1}, by_slot(1, 1))) == "000");
}

BOOST_AUTO_TEST_CASE(tensor_groups_stay_inside_hosts) {
  // Slot by slot: ranks 0-3 on n0, 4-7 on n1.
  const auto slots = comm::place_ranks({1, 4, 2}, by_slot(2, 4));
  BOOST_TEST(text(slots) == "000 001 010 011 020 021 030 031");
  BOOST_TEST(slots.split_groups.empty());
  BOOST_TEST(slots.split_replicas == std::vector<int>{0});
  // Node by node: even ranks on n0, odd ranks on n1.
  const auto nodes = comm::place_ranks({2, 2, 2}, by_node(2, 4));
  BOOST_TEST(text(nodes) == "000 100 001 101 010 110 011 111");
  BOOST_TEST(nodes.split_groups.empty());
  BOOST_TEST(nodes.split_replicas.empty());
}

BOOST_AUTO_TEST_CASE(split_groups_are_named) {
  // 3 + 1 + 4 ranks: the second group of two has one rank on a and one on b.
  const Hosts uneven{"a", "c", "a", "c", "b", "a", "c", "c"};
  const auto placement = comm::place_ranks({2, 2, 2}, uneven);
  BOOST_TEST(text(placement) == "000 011 001 100 111 010 101 110");
  BOOST_TEST_REQUIRE(placement.split_groups.size() == 2u);
  BOOST_TEST((placement.split_groups[0] == Place{0, 1, 0}));
  BOOST_TEST((placement.split_groups[1] == Place{1, 1, 0}));
  BOOST_TEST((placement.split_replicas == std::vector<int>{0, 1}));
  // One rank a host: every group is split.
  BOOST_TEST(comm::place_ranks({2, 1, 2}, by_slot(4, 1)).split_groups.size() == 2u);
}

BOOST_AUTO_TEST_CASE(every_place_is_taken_once) {
  for (const Layout layout : {Layout{4, 2, 1}, Layout{1, 2, 4}, Layout{1, 1, 8}, Layout{8, 1, 1}, Layout{2, 1, 4}}) {
    for (const Hosts& hosts : {by_slot(1, 8), by_slot(2, 4), by_node(4, 2), by_node(8, 1)}) {
      const auto placement = comm::place_ranks(layout, hosts);
      std::set<std::vector<int>> seen;
      for (int r = 0; r < 8; ++r) {
        const Place place = placement.places[static_cast<std::size_t>(r)];
        BOOST_TEST(place.replica < layout.data);
        BOOST_TEST(place.stage < layout.stages);
        BOOST_TEST(place.shard < layout.shards);
        BOOST_TEST(placement.rank_of(place) == r);
        seen.insert({place.replica, place.stage, place.shard});
      }
      BOOST_TEST(seen.size() == 8u);
      BOOST_TEST((placement.places[0] == Place{}));
    }
  }
  BOOST_CHECK_THROW(comm::place_ranks({2, 1, 1}, by_slot(1, 2)).rank_of({2, 0, 0}), thresher::base::Error);
}

BOOST_AUTO_TEST_CASE(the_map_names_hosts_cores_and_places) {
  const Hosts hosts = by_slot(2, 2), cores{"0-3", "4-7", "0-3", "4-7"};
  BOOST_TEST(comm::map_text(comm::place_ranks({2, 2, 1}, hosts), hosts, cores) ==
             "rank 0 on n0 cores 0-3: replica 0 stage 0\n"
             "rank 1 on n0 cores 4-7: replica 0 stage 1\n"
             "rank 2 on n1 cores 0-3: replica 1 stage 0\n"
             "rank 3 on n1 cores 4-7: replica 1 stage 1\n");
  const Hosts many = by_slot(16, 8);
  const std::string map = comm::map_text(comm::place_ranks({8, 2, 8}, many), many, Hosts(128, "0-7"));
  BOOST_TEST(map.substr(0, map.find('\n')) == "ranks 0-7 on n0 cores 0-7: replica 0 stage 0 shard 0-7");
  BOOST_TEST(std::count(map.begin(), map.end(), '\n') == 16);
  const Hosts huge = by_node(100, 8);
  const std::string ends = comm::map_text(comm::place_ranks({100, 2, 4}, huge), huge, Hosts(800, "0"));
  BOOST_TEST(std::count(ends.begin(), ends.end(), '\n') == 65);
  BOOST_TEST(ends.find("... 36 more hosts ...") != std::string::npos);
  BOOST_TEST(ends.find("ranks 99,199,299,399,499,599,699,799 on n99 cores 0: replica 99 stage 0-1 shard 0-3") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_grid_has_a_communicator_for_each_axis) {
  const auto world = comm::mpi_comm();
  const int ranks = world->size();
  // Ranks 1 and 3 on another host, so that places are not simply ranks.
  Hosts hosts;
  for (int r = 0; r < ranks; ++r) hosts.push_back(r % 2 == 0 ? "even" : "odd");
  std::vector<Layout> layouts{{ranks, 1, 1}, {1, ranks, 1}};
  if (ranks % 2 == 0) layouts.push_back({ranks / 2, 1, 2});
  if (ranks == 4) layouts.push_back({1, 2, 2});
  for (const Layout& layout : layouts) {
    const comm::Grid grid(*world, layout, hosts);
    const Place own = grid.place();
    BOOST_TEST(grid.rank_of(own) == world->rank());
    BOOST_TEST(grid.tensor().size() == layout.shards);
    BOOST_TEST(grid.tensor().rank() == own.shard);
    BOOST_TEST(grid.replica().size() == layout.stages * layout.shards);
    BOOST_TEST(grid.replica().rank() == own.stage * layout.shards + own.shard);
    BOOST_TEST(grid.peers().size() == layout.data);
    BOOST_TEST(grid.peers().rank() == own.replica);
    const auto of_replica = grid.replica().all_gather(std::to_string(world->rank()));
    for (int stage = 0; stage < layout.stages; ++stage) {
      for (int shard = 0; shard < layout.shards; ++shard) {
        const int there = grid.rank_of({own.replica, stage, shard});
        BOOST_TEST(of_replica[static_cast<std::size_t>(stage * layout.shards + shard)] == std::to_string(there));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_grid_of_one_needs_no_mpi) {
  const auto self = comm::self_comm();
  const comm::Grid grid(*self, {}, Hosts{"here"});
  BOOST_TEST(grid.tensor().size() == 1);
  BOOST_TEST((grid.place() == Place{}));
  BOOST_CHECK_THROW(comm::Grid(*self, {2, 1, 1}, Hosts{"here"}), thresher::base::Error);
}
