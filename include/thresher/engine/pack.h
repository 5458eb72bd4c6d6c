// Which sequences share a batch. Pure: lengths in, groups out. Results never depend on it, only speed does.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace thresher::engine {

struct PackedGroup {
  std::vector<std::int32_t> members;  // indices into `lengths`
  std::int64_t tokens = 0;
};

// Best fit, longest first, under `budget` tokens a group. A sequence longer than the budget is a group of its own.
// Equal input gives equal output; groups are ordered by falling fill.
std::vector<PackedGroup> pack(std::span<const std::int32_t> lengths, std::int64_t budget);

}  // namespace thresher::engine
