// MPI's C handles and return codes, the way the rest of the floor uses them.
#pragma once

#include <mpi.h>

#include <memory>
#include <source_location>

#include "comm/waiting.h"
#include "thresher/base/check.h"

namespace thresher::comm {

// Throws base::Error (internal) with MPI's own words. MPI aborts by itself on most errors; this catches the rest.
inline void check(int code, std::source_location where = std::source_location::current()) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  base::fail(base::Exit::internal, "MPI: " + std::string(text, static_cast<std::size_t>(length)), where);
}

// Owner of a communicator, so that messages never meet somebody else's. Freeing is collective in MPI's book; after
// cancel() it is left.
class OwnComm {
 public:
  explicit OwnComm(MPI_Comm comm) : comm_(comm) {}
  ~OwnComm() {
    std::lock_guard lock(mpi_lock());
    if (!cancelled()) MPI_Comm_free(&comm_);
  }
  OwnComm(const OwnComm&) = delete;
  OwnComm& operator=(const OwnComm&) = delete;
  MPI_Comm raw() const { return comm_; }

 private:
  MPI_Comm comm_;
};

// A copy of MPI_COMM_WORLD. Collective. MPI's own call cannot be ended and holds the lock, so all ranks meet first.
std::shared_ptr<const OwnComm> own_world();

// Tags on MPI_COMM_WORLD.
enum WorldTag : int { start_tag = 1, leave_tag = 2 };

}  // namespace thresher::comm
