// Who writes the results: rank zero all of them, or each replica its own parts.
#pragma once

#include <cstdint>

namespace thresher::schedule {

enum class OutputMode : std::uint8_t { gather, sharded };

// What rank zero writes by itself, bytes.
constexpr double gather_limit = 64.0 * 1024 * 1024 * 1024;

// The automatic choice: by the predicted bytes of the results alone, so that a restart on other ranks makes the same.
constexpr OutputMode output_mode(double output_bytes) {
  return output_bytes > gather_limit ? OutputMode::sharded : OutputMode::gather;
}

}  // namespace thresher::schedule
