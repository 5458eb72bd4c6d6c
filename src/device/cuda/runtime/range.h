// A stretch of the host's time with a name, for profilers; costs nothing where none is attached.
#pragma once

#include <nvtx3/nvToolsExt.h>

namespace thresher::device::cuda {

class Range {
 public:
  explicit Range(const char* name) { nvtxRangePushA(name); }
  ~Range() { nvtxRangePop(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

}  // namespace thresher::device::cuda
