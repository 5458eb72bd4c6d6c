// The totals in summary.json and _SUCCESS.
#pragma once

#include <string>
#include <string_view>

#include "thresher/store/run_directory.h"

namespace thresher::store {

inline constexpr std::int64_t summary_file_limit = std::int64_t{16} << 20;

// Throws base::Error (data) naming `name` and the first total that differs or is absent.
void expect_totals(std::string_view summary, const Totals& totals, const std::string& name);

}  // namespace thresher::store
