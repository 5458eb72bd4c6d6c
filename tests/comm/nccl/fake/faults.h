// What goes wrong, as the environment says:
//   FAKE_NCCL_FAULT   KIND:K, the K-th operation (from 1) of the process. refuse: the call fails; fail: it is never
//   done,
//                     and NCCL knows why; hang: it is never done; die: the process ends when it is its turn. Or
//                     connect: no communicator comes about.
//   FAKE_NCCL_RANK    of MPI_COMM_WORLD, whose process is meant
//   FAKE_NCCL_LOG     a file that is made when the fault strikes
//   FAKE_NCCL_VERSION NCCL's number
#pragma once

#include <cstdlib>
#include <fstream>
#include <string>

namespace thresher::fake_nccl {

enum class Fault { none, refuse, fail, hang, die, connect };

inline std::string setting(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

inline void log_strike() {
  if (const std::string file = setting("FAKE_NCCL_LOG"); !file.empty()) std::ofstream(file) << "struck\n";
}

// Of the operation with this number, 0 for a communicator's beginning.
inline Fault fault_of(long operation) {
  const std::string rank = setting("FAKE_NCCL_RANK"), fault = setting("FAKE_NCCL_FAULT");
  if (fault.empty() || rank != setting("OMPI_COMM_WORLD_RANK")) return Fault::none;
  if (operation == 0) return fault == "connect" ? Fault::connect : Fault::none;
  const std::size_t colon = fault.find(':');
  if (colon == std::string::npos || std::atol(fault.c_str() + colon + 1) != operation) return Fault::none;
  const std::string kind = fault.substr(0, colon);
  return kind == "refuse" ? Fault::refuse : kind == "fail" ? Fault::fail : kind == "hang" ? Fault::hang : Fault::die;
}

}  // namespace thresher::fake_nccl
