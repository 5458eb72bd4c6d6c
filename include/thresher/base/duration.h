// Lengths of time as people and Slurm write them.
#pragma once

#include <optional>
#include <string_view>

namespace thresher::base {

// Seconds of "90", "90s", "15m", "2h", "1.5h", "1d12h", "MM:SS", "HH:MM:SS", "D-HH", "D-HH:MM" or "D-HH:MM:SS"; nothing
// if the text is none of these. A bare number is seconds.
std::optional<double> parse_duration(std::string_view text);

}  // namespace thresher::base
