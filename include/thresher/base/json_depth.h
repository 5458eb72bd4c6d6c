// Against JSON that is nested without end, which would take a recursive reader's stack: to be asked before parsing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace thresher::base {

// Fails (data) where arrays and objects of `json` stand in each other more than `deepest` levels deep, or where it
// holds a zero byte, which a parser may take for the end. What is not JSON passes; `name` is for the message.
void check_json_depth(std::string_view json, std::int64_t deepest, const std::string& name);

}  // namespace thresher::base
