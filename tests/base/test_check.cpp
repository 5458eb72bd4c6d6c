#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <string>

#include "thresher/base/check.h"
#include "thresher/base/hash.h"

namespace base = thresher::base;

BOOST_AUTO_TEST_SUITE(check)

BOOST_AUTO_TEST_CASE(an_error_knows_its_code_and_place) {
  try {
    base::fail(base::Exit::data, "7 tensors, expected 9");
    BOOST_FAIL("fail returned");
  } catch (const base::Error& error) {
    BOOST_TEST((error.code() == base::Exit::data));
    BOOST_TEST(std::string(error.what()) == "7 tensors, expected 9");
    BOOST_TEST(error.where().find("test_check.cpp:") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(errno_is_spelled_out) {
  BOOST_CHECK_EXCEPTION(base::fail_errno(base::Exit::io, "part-7", ENOSPC), base::Error, [](const base::Error& error) {
    return std::string(error.what()) == "part-7: No space left on device";
  });
}

BOOST_AUTO_TEST_CASE(pieces_hash_like_the_whole) {
  base::Hasher hasher;
  hasher.add("thre");
  hasher.add("sher");
  BOOST_TEST(hasher.digest().hex() == base::digest_of("thresher").hex());
  // xxhsum -H2 of the empty input
  BOOST_TEST(base::digest_of("").hex() == "99aa06d3014798d86001c324468d497f");
}

BOOST_AUTO_TEST_SUITE_END()
