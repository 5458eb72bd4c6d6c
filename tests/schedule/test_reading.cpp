#include <boost/test/unit_test.hpp>
#include <string>

#include "schedule/reading.h"
#include "thresher/base/check.h"

using namespace thresher::schedule;
using Do = ReadingOrder::Do;

namespace {

// What is done up to the next lease, or to the end.
std::string until_lease(ReadingOrder& order) {
  std::string done;
  while (true) {
    const auto [what, shard] = order.next();
    if (what == Do::take) return done + "take";
    if (what == Do::end) return done + "end";
    done += what == Do::read ? std::to_string(shard) + " " : what == Do::request ? "request " : "hunger ";
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reading)

BOOST_AUTO_TEST_CASE(asks_before_the_last_shard_while_there_are_plenty) {
  ReadingOrder order;
  BOOST_TEST(until_lease(order) == "request take");
  order.leased({3, 3, false});
  BOOST_TEST(until_lease(order) == "3 4 request 5 take");
  order.leased({9, 1, false});
  BOOST_TEST(until_lease(order) == "request 9 take");
  order.leased({0, 0, false});
  BOOST_TEST(until_lease(order) == "end");
  BOOST_TEST(until_lease(order) == "end");
}

BOOST_AUTO_TEST_CASE(takes_nothing_ahead_when_shards_are_scarce) {
  ReadingOrder order;
  BOOST_TEST(until_lease(order) == "request take");
  order.leased({3, 2, false});
  BOOST_TEST(until_lease(order) == "3 request 4 take");
  order.leased({5, 2, true});
  BOOST_TEST(until_lease(order) == "5 6 hunger request take");
  order.leased({7, 1, true});
  BOOST_TEST(until_lease(order) == "7 hunger request take");
  order.leased({8, 0, true});
  BOOST_TEST(until_lease(order) == "end");
}

BOOST_AUTO_TEST_CASE(a_lease_nobody_asked_for_is_a_bug) {
  ReadingOrder order;
  order.next();
  BOOST_CHECK_THROW(order.leased({0, 1, false}), thresher::base::Error);
}

BOOST_AUTO_TEST_CASE(a_stop_leaves_nothing_on_its_way) {
  for (int steps = 0; steps < 12; ++steps) {
    ReadingOrder order;
    int asked = 0, taken = 0;
    for (int step = 0; step < 100; ++step) {
      if (step == steps) order.stop();
      const auto [what, shard] = order.next();
      if (what == Do::end) break;
      BOOST_TEST((step < steps || what == Do::take));
      if (what == Do::request) ++asked;
      if (what == Do::take) order.leased({3 * taken++, 3, taken > 2});
    }
    BOOST_TEST((order.next().what == Do::end));
    BOOST_TEST(asked == taken, "stopped after " << steps << " steps: " << asked << " asked, " << taken << " taken");
  }
}

BOOST_AUTO_TEST_SUITE_END()
