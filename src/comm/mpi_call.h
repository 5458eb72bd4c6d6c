// MPI's C handles and return codes, the way the rest of the floor uses them.
#pragma once

#include <mpi.h>

#include <source_location>

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

// A communicator of one's own over all processes, so that messages never meet somebody else's.
class OwnComm {
 public:
  OwnComm() { check(MPI_Comm_dup(MPI_COMM_WORLD, &comm_)); }
  ~OwnComm() { MPI_Comm_free(&comm_); }
  OwnComm(const OwnComm&) = delete;
  OwnComm& operator=(const OwnComm&) = delete;
  MPI_Comm raw() const { return comm_; }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
};

}  // namespace thresher::comm
