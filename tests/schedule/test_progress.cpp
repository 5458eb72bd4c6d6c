#include <boost/test/unit_test.hpp>

#include "schedule/progress.h"

using thresher::schedule::count_text;
using thresher::schedule::duration_text;

BOOST_AUTO_TEST_SUITE(progress)

BOOST_AUTO_TEST_CASE(counts_and_durations_are_written_for_people) {
  BOOST_TEST(count_text(0) == "0");
  BOOST_TEST(count_text(999) == "999");
  BOOST_TEST(count_text(1000) == "1,000");
  BOOST_TEST(count_text(1234567.4) == "1,234,567");
  BOOST_TEST(duration_text(0.4) == "0 s");
  BOOST_TEST(duration_text(59.6) == "1 min 00 s");
  BOOST_TEST(duration_text(200) == "3 min 20 s");
  BOOST_TEST(duration_text(3725) == "1 h 02 min");
}

BOOST_AUTO_TEST_SUITE_END()
