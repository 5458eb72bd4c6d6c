// A process that is started without mpirun or srun is an MPI job of its own, of one rank.
#pragma once

#include <string>

namespace thresher::app {

// Whether a launcher started this process as a rank. MPI need not be initialised.
bool started_by_launcher();

// For the lifetime of MPI in a process without a launcher: a folder of its own for MPI's session files, in $TMPDIR or
// /tmp. In the folder that they share by default, two processes that begin or end at the same moment make and remove
// the same directories. Nothing happens where OMPI_MCA_orte_tmpdir_base is set, or no folder can be made. A process
// that is killed leaves its folder, of a few small files that nobody looks at again.
class SingletonSession {
 public:
  SingletonSession();
  SingletonSession(const SingletonSession&) = delete;
  SingletonSession& operator=(const SingletonSession&) = delete;
  ~SingletonSession();

 private:
  std::string folder_;  // empty if there is none
};

}  // namespace thresher::app
