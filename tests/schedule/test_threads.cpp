#include <boost/test/unit_test.hpp>

#include "schedule/threads.h"

using namespace thresher;
using schedule::choose_threads;
using schedule::Pin;

namespace {

const base::CoreShare four{base::cores_from("0,4 1,5 2,6 3,7"), true};

}  // namespace

BOOST_AUTO_TEST_SUITE(threads)

BOOST_AUTO_TEST_CASE(one_a_core_each_on_its_own) {
  const schedule::Threads threads = choose_threads(0, Pin::automatic, four, 4);
  BOOST_TEST(threads.count == 4);
  BOOST_TEST(base::text_of(threads.pinned) == "0,4 1,5 2,6 3,7");
  BOOST_TEST(threads.first() == (base::Core{0, 4}));
}

BOOST_AUTO_TEST_CASE(a_job_that_leaves_cores_free_may_run_beside_another) {
  BOOST_TEST(choose_threads(2, Pin::automatic, four, 4).pinned.empty());
  BOOST_TEST(choose_threads(2, Pin::automatic, four, 4).first().empty());
  BOOST_TEST(base::text_of(choose_threads(2, Pin::on, four, 4).pinned) == "0,4 1,5");
  BOOST_TEST(choose_threads(4, Pin::off, four, 4).pinned.empty());
}

BOOST_AUTO_TEST_CASE(cores_that_others_have_too_pin_nobody) {
  const base::CoreShare shared{four.cores, false};
  for (const Pin pin : {Pin::automatic, Pin::on}) BOOST_TEST(choose_threads(0, pin, shared, 4).pinned.empty());
  BOOST_TEST(choose_threads(8, Pin::on, four, 4).pinned.empty());
  BOOST_TEST(choose_threads(8, Pin::on, four, 4).count == 8);
}

BOOST_AUTO_TEST_CASE(a_quota_of_less_than_the_cores) {
  BOOST_TEST(choose_threads(0, Pin::automatic, four, 2).count == 2);
  BOOST_TEST(choose_threads(0, Pin::automatic, four, 2).pinned.empty());
  BOOST_TEST(choose_threads(0, Pin::automatic, four, 0).count == 1);
}

BOOST_AUTO_TEST_SUITE_END()
