// Reading our files with Python.
#pragma once

#include <string>

#include "thresher/base/file.h"

namespace thresher::tests {

// False, with a message, where no Python has h5py.
bool have_h5py();

// Runs one part of read_with_h5py.py on a folder; true if it succeeds.
bool python(const std::string& part, const base::Path& folder);

}  // namespace thresher::tests
