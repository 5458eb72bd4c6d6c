// Memory and the messages on their way from or into it.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

namespace thresher::comm {

// MPI only ever sees memory of a Transfer, never a caller's: when a wait ends early the caller's memory may go at once,
// while this stays as long as MPI may touch it. Everything but the constructor, the destructor and reserve() is called
// under the lock.
class Transfer {
 public:
  Transfer() = default;
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // At least that many bytes, aligned to 64. Only while idle; the content is lost when it grows.
  std::byte* reserve(std::size_t bytes);
  std::byte* data() const { return memory_.get(); }

  void send(MPI_Comm comm, int to, int tag, std::size_t start, std::size_t bytes);
  void receive(MPI_Comm comm, int from, int tag, std::size_t start, std::size_t bytes);
  // A message found by MPI_Improbe.
  void receive(MPI_Message message, std::size_t bytes);

  // Looks at what is under way. True if a message got through since the last look.
  bool advance();
  // True if nothing is under way after a look at it.
  bool done() {
    if (!idle()) advance();
    return idle();
  }
  bool idle() const { return under_way_ == 0; }
  // Bytes received since the last take.
  std::size_t take_received() { return std::exchange(received_, 0); }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  MPI_Request& next(bool receiving);

  std::unique_ptr<std::byte, Free> memory_;
  std::size_t capacity_ = 0;
  std::vector<MPI_Request> requests_;  // MPI_REQUEST_NULL where done
  std::vector<char> receiving_;        // for each request
  std::vector<int> indices_;           // MPI_Testsome's results
  std::vector<MPI_Status> statuses_;
  int under_way_ = 0;
  std::size_t received_ = 0;
};

}  // namespace thresher::comm
