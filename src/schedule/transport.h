// How the GPUs of a replica's ranks exchange tensors.
#pragma once

#include <span>
#include <string>

#include "thresher/comm/comm.h"
#include "thresher/comm/nccl.h"
#include "thresher/schedule/job.h"

namespace thresher::schedule {

struct Transport {
  bool nccl = false;  // else by way of the host
  std::string text;   // for people, with the reason
};

// What a rank has.
struct TransportEnd {
  std::string gpu;  // host and UUID
  comm::NcclState nccl;
};

// The same on all ranks. Throws base::Error (config) where NCCL is asked for and cannot be. Pure.
Transport choose_transport(GpuTransport wanted, const comm::Layout& layout, std::span<const TransportEnd> ends);

// Collective. `gpus` by rank; without them there is nothing to choose. Throws on all ranks alike.
Transport agree_on_transport(comm::Comm& world, const Job& job, const comm::Layout& layout,
                             std::span<const std::string> gpus, std::span<const std::string> names);

}  // namespace thresher::schedule
