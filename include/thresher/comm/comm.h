// Ranks that agree: collective and pairwise exchanges between the processes of the job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace thresher::comm {

class Inlet;
class Outlet;

// A group of ranks. One thread at a time uses a Comm; different Comms may be used by different threads. Every wait can
// be ended early, see ending.h, and costs little processor time: it yields at first and naps later.
//
// Collective: all ranks of the group call it, in the same order as all other collective calls of the group.
// Pairwise: two ranks call it.
class Comm {
 public:
  virtual ~Comm() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Collective. Nobody returns before all have called.
  virtual void barrier() = 0;
  // Collective. Everyone's `bytes` becomes the root's.
  virtual void broadcast(std::string& bytes, int root) = 0;
  // Collective. The same where all know the size; it is the same on all ranks.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  // Collective. Element r is what rank r gave.
  virtual std::vector<std::string> all_gather(const std::string& bytes) = 0;

  // Collective. Everyone's `values` (as many on all ranks) becomes the f32 sum over the ranks, in one fixed tree
  // whatever the length: ((0+1)+(2+3))+((4+5)+(6+7)). The same bits on every rank. size() must be a power of two.
  virtual void all_reduce(std::span<float> values) = 0;
  // Collective. Bitwise or; size() must be a power of two.
  virtual void all_reduce_bits(std::span<std::uint32_t> bits) = 0;

  // Pairwise. `in` becomes what the peer gives as `out`; all four sizes are equal, and `in` and `out` may be the same
  // memory. The peer may be the rank itself.
  virtual void exchange(int peer, std::span<const std::byte> out, std::span<std::byte> in) = 0;

  // Collective, and called by one thread of the process at a time. The ranks that gave the same colour (>= 0), in the
  // order of (key, rank). The result may outlive this Comm.
  virtual std::unique_ptr<Comm> split(int colour, int key) = 0;

  // Pairwise: one rank makes the outlet, the other the inlet, with the same tag (0 to 1000) and capacity (bytes of the
  // longest message, > 0). See pipe.h. Both may outlive this Comm. Between two ranks a tag may be used again in the
  // same direction when both ends are gone.
  virtual std::unique_ptr<Outlet> outlet(int to, int tag, std::size_t capacity) = 0;
  virtual std::unique_ptr<Inlet> inlet(int from, int tag, std::size_t capacity) = 0;
};

// One process alone.
std::unique_ptr<Comm> self_comm();

// All processes of MPI_COMM_WORLD, on a communicator of their own. MPI must be initialised with at least
// MPI_THREAD_SERIALIZED and outlive the result. Collective.
std::unique_ptr<Comm> mpi_comm();

}  // namespace thresher::comm
