#include <boost/test/unit_test.hpp>
#include <string>

#include "thresher/base/duration.h"

using thresher::base::parse_duration;

BOOST_AUTO_TEST_SUITE(duration)

BOOST_AUTO_TEST_CASE(what_people_and_slurm_write) {
  const std::pair<const char*, double> times[] = {
      {"0", 0},         {"90", 90},          {"2.5", 2.5},          {"90s", 90},        {"15m", 900},
      {"2h", 7200},     {"1.5h", 5400},      {"1d", 86400},         {"1d12h", 129600},  {"1h30m10s", 5410},
      {"0:45", 45},     {"5:00", 300},       {"90:30", 5430},       {"01:30:00", 5400}, {"100:00:00", 360000},
      {"2-12", 216000}, {"2-12:30", 217800}, {"2-12:30:15", 217815}};
  for (const auto& [text, seconds] : times) {
    const auto read = parse_duration(text);
    BOOST_TEST_REQUIRE(read.has_value(), text);
    BOOST_TEST(*read == seconds, text << " was read as " << *read);
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_time) {
  for (const char* text : {"",        " ",
                           "-5",      "+5",
                           "5 ",      " 5",
                           "1e3",     "inf",
                           "nan",     "0x10",
                           "5x",      "m",
                           "5m5",     "5mm",
                           "1,5h",    ":",
                           "5:",      ":30",
                           "1:60",    "1:60:00",
                           "1:2:3:4", "-1:00",
                           "1:-2",    "1-",
                           "1-24",    "1-2:60",
                           "1-2-3",   "1-2:3:4:5",
                           "1.5:00",  "UNLIMITED",
                           "NOT_SET", "99999999999",
                           "999999d", "99999999999999999999:00"})
    BOOST_TEST(!parse_duration(text).has_value(), "'" << text << "' was read");
}

BOOST_AUTO_TEST_SUITE_END()
