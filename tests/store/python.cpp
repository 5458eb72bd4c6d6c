#include "store/python.h"

#include <boost/test/unit_test.hpp>
#include <cstdlib>

namespace thresher::tests {
namespace {

// The first Python that has h5py; Debian's own may hide behind another one.
const std::string& python_with_h5py() {
  static const std::string found = [] {
    for (const std::string name : {"python3", "/usr/bin/python3"}) {
      if (std::system((name + " -c 'import h5py' 2>/dev/null").c_str()) == 0) return name;
    }
    BOOST_TEST_MESSAGE("not run: python3-h5py is not installed");
    return std::string();
  }();
  return found;
}

}  // namespace

bool have_h5py() {
  return !python_with_h5py().empty();
}

bool python(const std::string& part, const base::Path& folder) {
  const std::string script = std::string(THRESHER_SOURCE_DIR) + "/tests/store/read_with_h5py.py ";
  return std::system((python_with_h5py() + " " + script + part + " " + folder.string()).c_str()) == 0;
}

}  // namespace thresher::tests
