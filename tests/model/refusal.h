// Checks that something ends in a base::Error with a given exit code and a message that names the cause.
#pragma once

#include <boost/test/unit_test.hpp>
#include <functional>
#include <string>

#include "thresher/base/check.h"

namespace thresher::model::test {

// `part` has to stand in the message; an empty `part` means that nothing is refused.
inline void check_refusal(const std::function<void()>& action, base::Exit code, const std::string& part) {
  try {
    action();
    BOOST_CHECK_MESSAGE(part.empty(), "accepted, but has to be refused with \"" << part << "\"");
  } catch (const base::Error& error) {
    BOOST_CHECK_MESSAGE(!part.empty(), "refused: " << error.what());
    BOOST_CHECK_EQUAL(static_cast<int>(error.code()), static_cast<int>(code));
    BOOST_CHECK_MESSAGE(std::string(error.what()).find(part) != std::string::npos,
                        "\"" << part << "\" is not in: " << error.what());
  }
}

}  // namespace thresher::model::test
