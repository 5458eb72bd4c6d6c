#include "thresher/base/check.h"
#include "thresher/comm/nccl.h"

namespace thresher::comm {

NcclState nccl_state() {
  return {.version = 0, .trouble = "this program is built without NCCL: nccl.h was not there"};
}

std::unique_ptr<DeviceSums> nccl_sums(Comm&, device::Device&, const NcclSumsOptions&) {
  base::fail(base::Exit::unavailable, nccl_state().trouble);
}

NcclPipes nccl_pipes(const Grid&, device::Device&, std::int64_t) {
  base::fail(base::Exit::unavailable, nccl_state().trouble);
}

}  // namespace thresher::comm
