#include "thresher/comm/probe.h"

#include <mpi.h>

namespace thresher::comm {

MpiState try_mpi() {
  int provided = 0, ranks = 0, major = 0, minor = 0, length = 0;
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  MPI_Get_version(&major, &minor);
  MPI_Get_library_version(text, &length);
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();
  const std::string library(text);
  return {library.substr(0, library.find_first_of(",\n")), std::to_string(major) + "." + std::to_string(minor),
          provided >= MPI_THREAD_SERIALIZED, ranks};
}

}  // namespace thresher::comm
