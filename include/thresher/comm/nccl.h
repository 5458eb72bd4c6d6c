// NCCL: exchanges between the memories of GPUs, in the order of their own queues. The library is loaded by name when it
// is first asked for; programs run without it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "thresher/comm/device_pipe.h"
#include "thresher/comm/device_sums.h"
#include "thresher/comm/grid.h"

namespace thresher::comm {

// What this process has of it.
struct NcclState {
  int version = 0;      // NCCL's own number, 22809 for 2.28.9; 0: none that can be used
  std::string trouble;  // then: why
};

NcclState nccl_state();
// "2.28.9".
std::string nccl_version_text(int version);

struct NcclSumsOptions {
  std::string whose;                                    // of the ranks, for messages: "the shards of stage 1"
  std::int64_t scratch_bytes = std::int64_t{64} << 20;  // of the device's memory
};

// Sums follow Comm::all_reduce's tree, so that both ways give the same bits, and cost a ring's traffic: NCCL's own sums
// would depend on where in a batch a row lies. Each rank has a GPU of its own. Collective. Throws base::Error:
// unavailable (no NCCL), os (NCCL's own). The device must outlive the result, `ranks` need not.
//
// Whatever happens, nobody waits for ever: cancel() ends exchanges that are under way, here and in the GPU's queue, and
// so does a failure that NCCL finds by itself, within a second.
std::unique_ptr<DeviceSums> nccl_sums(Comm& ranks, device::Device& device, const NcclSumsOptions& options);

// From a stage of a replica to the next one, between the ranks that hold the same shard of both. One tensor is on its
// way at each boundary while the device on either side works on another. Where there is no neighbour there is none.
struct NcclPipes {
  std::unique_ptr<DeviceInlet> before;
  std::unique_ptr<DeviceOutlet> after;
};

// `bytes`: of the longest tensor; a longer one makes both sides wait. Collective over grid.replica(). Throws as
// nccl_sums.
NcclPipes nccl_pipes(const Grid& grid, device::Device& device, std::int64_t bytes);

}  // namespace thresher::comm
