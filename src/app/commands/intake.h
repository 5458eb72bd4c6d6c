// How text and JSONL files are read: the options that `import` and `score` share.
#pragma once

#include <string>
#include <vector>

#include "app/options.h"
#include "thresher/store/import.h"

namespace thresher::app {

Group intake_group();

// Checks the group's options against each other and fills the options of import. `inputs` are file names and globs, for
// the default of --format.
store::ImportOptions read_intake(Arguments& arguments, const std::vector<std::string>& inputs);

}  // namespace thresher::app
