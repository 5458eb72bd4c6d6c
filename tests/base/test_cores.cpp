#include <sched.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "thresher/base/check.h"
#include "thresher/base/cores.h"

using namespace thresher::base;

namespace {

int allowed_here() {
  cpu_set_t set;
  BOOST_REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
  return CPU_COUNT(&set);
}

CoreShare share(const std::vector<Cores>& lists, std::size_t me) {
  return share_of(lists, me);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cores)

BOOST_AUTO_TEST_CASE(hardware_threads_of_a_core_are_one_core) {
  // Linux often numbers the second threads after all the first ones; so does this machine.
  const Cores cores = cores_of_machine("package:2 core:2 pu:2(indexes=0,4,1,5,2,6,3,7)");
  BOOST_TEST(text_of(cores) == "0,4 1,5 2,6 3,7");
  BOOST_TEST(text_of(cores_from(text_of(cores))) == text_of(cores));
  BOOST_TEST(cores_from("").empty());
}

BOOST_AUTO_TEST_CASE(only_what_may_be_used_counts) {
  const int allowed[] = {1, 4, 5};
  BOOST_TEST(text_of(cores_of_machine("package:2 core:2 pu:2(indexes=0,4,1,5,2,6,3,7)", allowed)) == "4 1,5");
}

BOOST_AUTO_TEST_CASE(words_that_describe_no_machine) {
  BOOST_CHECK_EXCEPTION(static_cast<void>(cores_of_machine("two of them")), Error,
                        [](const Error& error) { return error.code() == Exit::usage; });
}

BOOST_AUTO_TEST_CASE(this_process) {
  std::size_t threads = 0;
  const Cores cores = cores_of_process();
  for (const Core& core : cores) threads += core.size();
  BOOST_TEST(threads == static_cast<std::size_t>(allowed_here()));
  BOOST_TEST(usable_cores() >= 1);
  BOOST_TEST(static_cast<std::size_t>(usable_cores()) <= cores.size());
}

BOOST_AUTO_TEST_CASE(ranks_that_may_use_the_same_cores_divide_them_by_neighbourhood) {
  const Cores all = cores_of_machine("package:2 core:3 pu:1");
  const std::vector<Cores> two{all, all}, four{all, all, all, all};
  BOOST_TEST(text_of(share(two, 0).cores) == "0 1 2");
  BOOST_TEST(text_of(share(two, 1).cores) == "3 4 5");
  BOOST_TEST(share(two, 1).exclusive);
  std::string parts;
  for (std::size_t rank = 0; rank < 4; ++rank) parts += text_of(share(four, rank).cores) + "|";
  BOOST_TEST(parts == "0|1 2|3|4 5|");
  BOOST_TEST(share(four, 3).exclusive);
}

BOOST_AUTO_TEST_CASE(more_ranks_than_cores_share_them) {
  const Cores all = cores_of_machine("core:2 pu:1");
  const std::vector<Cores> three{all, all, all};
  for (std::size_t rank = 0; rank < 3; ++rank) {
    BOOST_TEST(share(three, rank).cores.size() == 1u);
    BOOST_TEST(!share(three, rank).exclusive);
  }
  BOOST_TEST(text_of(share(three, 2).cores) == "1");
}

BOOST_AUTO_TEST_CASE(ranks_that_were_bound_keep_what_they_have) {
  const std::vector<Cores> bound{cores_from("0 1"), cores_from("2 3"), cores_from("2 3")};
  BOOST_TEST(text_of(share(bound, 0).cores) == "0 1");
  BOOST_TEST(share(bound, 0).exclusive);
  BOOST_TEST(text_of(share(bound, 2).cores) == "3");
}

BOOST_AUTO_TEST_CASE(lists_that_overlap_in_part_are_nobodys_own) {
  const std::vector<Cores> lists{cores_from("0 1 2 3"), cores_from("2 3"), cores_from("7")};
  BOOST_TEST(share(lists, 0).cores.size() == 2u);
  BOOST_TEST(!share(lists, 0).exclusive);
  BOOST_TEST(!share(lists, 1).exclusive);
  BOOST_TEST(share(lists, 2).exclusive);
}

BOOST_AUTO_TEST_CASE(a_thread_is_bound_while_it_is_meant_to_be) {
  const Core last = cores_of_process().back();
  std::thread([&] {
    const int before = allowed_here();
    {
      const BoundThread bound(last);
      BOOST_TEST(allowed_here() == static_cast<int>(last.size()));
      BOOST_TEST((std::ranges::find(last, sched_getcpu()) != last.end()));
    }
    BOOST_TEST(allowed_here() == before);
    {
      const BoundThread anywhere{Core{}};
      BOOST_TEST(allowed_here() == before);
    }
  }).join();
}

BOOST_AUTO_TEST_CASE(threads_inherit_what_the_process_is_bound_to) {
  const Cores one{cores_of_process().front()};
  std::thread([&] {
    bind_to(one);
    std::thread([&] { BOOST_TEST(text_of(cores_of_process()) == text_of(one)); }).join();
    bind_to({});
    BOOST_TEST(text_of(cores_of_process()) == text_of(one));
  }).join();
}

BOOST_AUTO_TEST_SUITE_END()
