#include <boost/test/unit_test.hpp>
#include <string>

#include "thresher/base/check.h"
#include "thresher/base/json_depth.h"

using thresher::base::check_json_depth;
using thresher::base::Error;
using thresher::base::Exit;

BOOST_AUTO_TEST_SUITE(json_depth)

BOOST_AUTO_TEST_CASE(levels_are_counted_outside_of_strings) {
  for (const char* fine : {"", "1", "[[]]", "[{}, {}, [1]]", R"("[[[[")", R"({"a\"[[[": ["\\", "]"]})", "]]]] [["})
    BOOST_CHECK_NO_THROW(check_json_depth(fine, 2, "file"));
  for (const char* deep : {"[[[", R"({"a": {"b": []}})", R"(["\\", [[ )"}) {
    BOOST_CHECK_EXCEPTION(check_json_depth(deep, 2, "file"), Error, [](const Error& error) {
      return error.code() == Exit::data && std::string(error.what()) == "file is nested deeper than 2 levels";
    });
  }
}

BOOST_AUTO_TEST_CASE(zero_bytes) {
  BOOST_CHECK_THROW(check_json_depth(std::string_view("{}\0", 3), 2, "file"), Error);
  BOOST_CHECK_THROW(check_json_depth(std::string_view("\"\\\0\"", 4), 2, "file"), Error);
}

BOOST_AUTO_TEST_CASE(messages_cannot_command_a_terminal) {
  const Error error(Exit::data, std::string("a\0b\x1b[31m\r\x7f\tc\n\xc3\xa4", 15));
  BOOST_TEST(error.what() == "a\\x00b\\x1b[31m\\x0d\\x7f\tc\n\xc3\xa4");
}

BOOST_AUTO_TEST_SUITE_END()
