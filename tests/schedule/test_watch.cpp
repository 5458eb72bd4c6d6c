#include <boost/test/unit_test.hpp>

#include "thresher/schedule/watch.h"

using namespace thresher::schedule;
using thresher::base::Activity;
using thresher::base::Doing;

namespace {

struct Rank {
  Activities activities;
  Rank() { activities.scorer.begin(Doing::computing, "computing a batch"); }
  Pulse pulse() const { return activities.pulse(); }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(watch)

BOOST_AUTO_TEST_CASE(a_rank_that_is_not_heard_is_named) {
  Rank one, two;
  Watch watch(2, 40, 100);
  for (double now = 101; now < 150; ++now) {
    one.activities.scorer.tick();
    watch.heard(0, one.pulse(), now);
    two.activities.scorer.tick();
    if (now < 105) watch.heard(1, two.pulse(), now);
    const auto verdict = watch.check(now);
    BOOST_TEST(verdict.has_value() == (now > 144));
    BOOST_TEST(watch.silent(now).has_value() == (now > 144));
    if (!verdict) continue;
    BOOST_TEST(verdict->rank == 1);
    BOOST_TEST(contains(verdict->reason, "no sign of life"));
    BOOST_TEST(contains(verdict->reason, "computing a batch"));
  }
}

BOOST_AUTO_TEST_CASE(a_computation_that_stands_still_is_named) {
  Rank one, two;
  Watch watch(2, 40, 0);
  for (double now = 1; now < 60; ++now) {
    one.activities.scorer.tick();
    watch.heard(0, one.pulse(), now);
    watch.heard(1, two.pulse(), now);
    const auto verdict = watch.check(now);
    BOOST_TEST(verdict.has_value() == (now > 41));
    if (verdict) BOOST_TEST(verdict->rank == 1);
    BOOST_TEST(!watch.silent(now).has_value());
  }
}

BOOST_AUTO_TEST_CASE(work_without_ticks_and_waiting_for_it_take_their_time) {
  Rank one, two;
  one.activities.scorer.begin(Doing::waiting, "waiting for input");
  one.activities.reader.begin(Doing::working, "reading");
  two.activities.scorer.begin(Doing::waiting, "waiting for the stage before");
  Watch watch(2, 40, 0);
  for (double now = 1; now < 600; ++now) {
    watch.heard(0, one.pulse(), now);
    watch.heard(1, two.pulse(), now);
    BOOST_TEST(!watch.check(now).has_value());
  }
}

BOOST_AUTO_TEST_CASE(everybody_waiting_is_an_end) {
  Rank one, two;
  one.activities.scorer.begin(Doing::waiting, "waiting for rank 1");
  two.activities.scorer.begin(Doing::waiting, "waiting for rank 0");
  Watch watch(2, 40, 0);
  for (double now = 1; now < 60; ++now) {
    watch.heard(0, one.pulse(), now);
    watch.heard(1, two.pulse(), now);
    const auto verdict = watch.check(now);
    BOOST_TEST(verdict.has_value() == (now > 41));
    if (verdict) BOOST_TEST(contains(verdict->reason, "waiting for each other"));
  }
}

BOOST_AUTO_TEST_CASE(a_watcher_that_was_stopped_blames_nobody) {
  Rank one;
  Watch watch(1, 40, 0);
  watch.heard(0, one.pulse(), 1);
  watch.forgive(1000);
  BOOST_TEST(!watch.check(1001).has_value());
}

BOOST_AUTO_TEST_CASE(what_it_does_is_told_before_what_it_waits_for) {
  Rank one;
  one.activities.scorer.begin(Doing::waiting, "waiting for input");
  one.activities.reader.begin(Doing::working, "reading a shard");
  BOOST_TEST(contains(describe(one.pulse()), "reading a shard"));
  BOOST_TEST(describe(Pulse{}) == "doing nothing");
}

BOOST_AUTO_TEST_SUITE_END()
