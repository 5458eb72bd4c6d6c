#include <boost/test/unit_test.hpp>
#include <limits>

#include "thresher/schedule/stop_rule.h"

using namespace thresher::schedule;

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

StopRule rule(double end, double grace) {
  StopRule rule;
  rule.limit({end, grace});
  return rule;
}

// When the level is first reached, looking ten times a second; negative if not before `until`.
double time_of(StopRule rule, StopLevel level, double from, double until) {
  for (double now = from; now < until; now += 0.1)
    if (rule.decide(now).level >= level) return now;
  return -1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stop_rule)

BOOST_AUTO_TEST_CASE(nothing_stops_a_job_without_limit_or_signal) {
  BOOST_TEST((time_of(rule(never, 20), StopLevel::finish, 0, 1e5) < 0));
}

BOOST_AUTO_TEST_CASE(a_signal_ends_the_dealing_and_gives_the_grace) {
  StopRule one = rule(never, 20);
  one.asked(1, 100);
  const StopOrder order = one.decide(100);
  BOOST_TEST((order.level == StopLevel::finish));
  BOOST_TEST((order.seconds > 15 && order.seconds < 20));
  BOOST_TEST(!one.by_time());
  BOOST_TEST((one.decide(110).level == StopLevel::finish));
  // Whoever has not ended shortly before the kill will not end in time.
  const double dropped = time_of(one, StopLevel::drop, 110, 200);
  BOOST_TEST((dropped > 118 && dropped < 120));
}

BOOST_AUTO_TEST_CASE(the_same_signal_on_several_ranks_is_one) {
  StopRule one = rule(never, 20);
  one.asked(1, 100);
  one.asked(1, 101);
  BOOST_TEST((one.decide(102).level == StopLevel::finish));
  one.asked(2, 103);
  BOOST_TEST((one.decide(103).level == StopLevel::drop));
  one.asked(1, 104);
  BOOST_TEST((one.decide(104).level == StopLevel::drop), "levels never fall");
}

BOOST_AUTO_TEST_CASE(by_time_a_job_stops_a_shard_and_a_commit_before_the_end) {
  const StopRule fresh = rule(1000, 20);
  StopRule learned = fresh;
  for (int i = 0; i < 5; ++i) {
    learned.shard_took(60);
    learned.commit_took(5);
  }
  const double blind = time_of(fresh, StopLevel::finish, 0, 1000);
  const double wise = time_of(learned, StopLevel::finish, 0, 1000);
  BOOST_TEST((blind > 990 && blind < 1000));
  BOOST_TEST((wise > 900 && wise < 1000 - 60 - 5));
  StopRule at = learned;
  const StopOrder order = at.decide(wise);
  BOOST_TEST(at.by_time());
  BOOST_TEST((order.seconds >= 60 && wise + order.seconds <= 1000 - 5));
  BOOST_TEST((time_of(learned, StopLevel::drop, wise, 1001) < 1000));
}

BOOST_AUTO_TEST_CASE(a_single_slow_shard_is_forgotten) {
  StopRule slow = rule(1000, 20);
  slow.shard_took(500);
  for (int i = 0; i < 100; ++i) slow.shard_took(1);
  BOOST_TEST((time_of(slow, StopLevel::finish, 0, 1000) > 980));
}

BOOST_AUTO_TEST_CASE(the_earlier_of_time_limit_and_grace_counts) {
  StopRule one = rule(110, 20);
  one.asked(1, 100);
  BOOST_TEST(one.decide(100).seconds < 10);
  StopRule other = rule(1000, 20);
  other.asked(1, 100);
  BOOST_TEST(other.decide(100).seconds < 20);
}

BOOST_AUTO_TEST_CASE(a_limit_in_the_past_stops_at_once) {
  StopRule late = rule(5, 20);
  const StopOrder order = late.decide(10);
  BOOST_TEST((order.level == StopLevel::finish && order.seconds == 0));
  BOOST_TEST((late.decide(10).level == StopLevel::drop));
}

BOOST_AUTO_TEST_SUITE_END()
