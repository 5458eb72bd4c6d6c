// plan.json.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "thresher/store/plan.h"

namespace thresher::store {

inline constexpr std::int64_t plan_file_limit = std::int64_t{256} << 20;

std::string format_plan(const Plan& plan);
// One JSON object of the values, on one line.
std::string format_values(const Plan& plan);
// The other way round. Throws base::Error (data) naming `name`.
std::map<std::string, std::string> parse_values(std::string_view text, const std::string& name);

// Throws base::Error (data) naming `name`.
Plan parse_plan(std::string_view text, const std::string& name);

// One line for each value that differs, "dtype: bf16 there, f32 now"; empty for equal plans.
std::string differences(const Plan& there, const Plan& now);

}  // namespace thresher::store
