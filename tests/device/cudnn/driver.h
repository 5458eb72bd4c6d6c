// What the stand-in for the driver was given last.
#pragma once

#include <cstdint>

namespace thresher::device::fake {

struct Loaded {
  std::uint64_t hash = 0;  // of the machine code
  std::int64_t count = 0;
  char kernel[200] = {};
};

}  // namespace thresher::device::fake
