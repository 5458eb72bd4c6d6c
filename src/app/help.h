// What `thresher help` prints.
#pragma once

#include <optional>
#include <string>

#include "app/options.h"

namespace thresher::app {

// The command of a name, or null.
const Command* find_command(std::string_view name);

// Help about nothing in particular, about a command, or about a topic ("job-files", "exit-codes").
// Throws base::Error (usage) for an unknown topic, naming the nearest.
std::string help(const std::string& topic);

// Throws base::Error (usage) naming the nearest command.
[[noreturn]] void fail_unknown_command(const std::string& name);

// "thresher 0.1.0" and what it was built with.
std::string version();

}  // namespace thresher::app
