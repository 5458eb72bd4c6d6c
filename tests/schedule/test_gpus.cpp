#include <boost/test/unit_test.hpp>

#include "schedule/gpus.h"
#include "thresher/base/check.h"

namespace thresher::schedule {
namespace {

using Lists = std::vector<std::vector<std::string>>;
using Hosts = std::vector<std::string>;
using Places = std::vector<int>;

bool says_both_numbers(const base::Error& error) {
  const std::string text = error.what();
  BOOST_TEST_MESSAGE(text);
  return error.code() == base::Exit::config && text.find("3 ranks run on a") != std::string::npos &&
         text.find("2 can be seen") != std::string::npos && text.find("--share-gpus") != std::string::npos;
}

BOOST_AUTO_TEST_SUITE(gpus)

BOOST_AUTO_TEST_CASE(ranks_of_a_host_take_its_gpus_in_turn) {
  const Hosts hosts{"a", "a", "b", "b"};
  const Lists lists{{"0", "1"}, {"0", "1"}, {"0", "1"}, {"0", "1"}};
  BOOST_TEST((assign_gpus(hosts, lists, false) == Places{0, 1, 0, 1}));
}

BOOST_AUTO_TEST_CASE(hosts_may_alternate) {
  BOOST_TEST((assign_gpus(Hosts{"a", "b", "a", "b"}, Lists(4, {"x", "y"}), false) == Places{0, 0, 1, 1}));
}

// As a launcher does that binds each task to one GPU.
BOOST_AUTO_TEST_CASE(each_rank_may_see_only_its_own) {
  BOOST_TEST((assign_gpus(Hosts{"a", "a"}, Lists{{"x"}, {"y"}}, false) == Places{0, 0}));
  BOOST_TEST((assign_gpus(Hosts{"a", "a", "a"}, Lists{{"x", "y"}, {"y", "z"}, {"x", "z"}}, false) == Places{0, 0, 1}));
}

BOOST_AUTO_TEST_CASE(two_ranks_on_one_gpu_are_refused_unless_told) {
  const Hosts hosts{"a", "a", "a"};
  const Lists lists(3, {"x", "y"});
  BOOST_CHECK_EXCEPTION(assign_gpus(hosts, lists, false), base::Error, says_both_numbers);
  BOOST_TEST((assign_gpus(hosts, lists, true) == Places{0, 1, 0}));
  BOOST_TEST((assign_gpus(Hosts(4, "a"), Lists(4, {"x"}), true) == Places{0, 0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(ranks_that_share_a_gpu_share_its_memory) {
  const std::vector<std::int64_t> memory{800, 800, 800};
  BOOST_TEST(least_share(Hosts{"a", "a", "b"}, Hosts{"x", "y", "x"}, memory) == 800);
  BOOST_TEST(least_share(Hosts{"a", "a", "b"}, Hosts{"x", "x", "x"}, memory) == 400);
  BOOST_TEST(least_share(Hosts{"a", "b", "c"}, Hosts{"x", "x", "x"}, std::vector<std::int64_t>{800, 700, 900}) == 700);
}

BOOST_AUTO_TEST_CASE(a_rank_without_a_gpu_is_named) {
  BOOST_CHECK_EXCEPTION(assign_gpus(Hosts{"a", "b"}, Lists{{"x"}, {}}, true), base::Error, [](const auto& error) {
    return std::string(error.what()).find("rank 1 (b)") != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::schedule
