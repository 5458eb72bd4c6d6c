// Ranks that agree: small collective exchanges between all processes of the job.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace thresher::comm {

class Comm {
 public:
  virtual ~Comm() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Collective. Nobody returns before all have called.
  virtual void barrier() = 0;
  // Collective. Everyone's `bytes` becomes the root's.
  virtual void broadcast(std::string& bytes, int root) = 0;
  // Collective. Element r is what rank r gave.
  virtual std::vector<std::string> all_gather(const std::string& bytes) = 0;
};

// One process alone.
std::unique_ptr<Comm> self_comm();

// All processes of MPI_COMM_WORLD, on a communicator of their own. MPI must be initialised with at least
// MPI_THREAD_SERIALIZED and outlive the result. Collective.
std::unique_ptr<Comm> mpi_comm();

}  // namespace thresher::comm
