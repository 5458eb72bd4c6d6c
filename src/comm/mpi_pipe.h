// Pipes over MPI.
#pragma once

#include <cstddef>
#include <memory>

#include "comm/mpi_call.h"
#include "thresher/comm/pipe.h"

namespace thresher::comm {

struct PipeEnd {
  std::shared_ptr<const OwnComm> comm;
  int peer = 0;
  int tag = 0;
  std::size_t capacity = 0;
};

std::unique_ptr<Outlet> mpi_outlet(PipeEnd end);
std::unique_ptr<Inlet> mpi_inlet(PipeEnd end);

}  // namespace thresher::comm
