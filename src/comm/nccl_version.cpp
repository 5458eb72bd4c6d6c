#include <fmt/format.h>

#include "thresher/comm/nccl.h"

namespace thresher::comm {

std::string nccl_version_text(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace thresher::comm
