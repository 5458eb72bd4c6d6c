// The commands, one per file.
#pragma once

#include <vector>

#include "app/options.h"

namespace thresher::app {

Command import_command();
Command score_command();
Command plan_command();
Command export_command();
Command inspect_command();
Command verify_command();
Command diff_command();
Command status_command();
Command bench_command();
Command doctor_command();

// All of them, in the order help lists them.
const std::vector<Command>& commands();

}  // namespace thresher::app
