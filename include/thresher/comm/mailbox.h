// Small byte messages between ranks, for the scheduler: nobody waits for a receiver, and waiting costs no processor
// time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace thresher::comm {

// Who on a rank a message is for: rank zero's coordinator, the reader that waits for leases, the scorer that waits for
// its parts to be committed, the monitor. Each channel has one consuming thread per rank.
enum class Channel : int { coordinator = 1, lease = 2, credit = 3, monitor = 4 };

struct Message {
  int from = 0;
  std::int32_t kind = 0;  // the protocol's own number
  std::string bytes;
};

// Thread-safe. Messages between two ranks on one channel arrive in the order they were posted; none is lost while both
// ranks live.
class Mailbox {
 public:
  virtual ~Mailbox() = default;
  // Pairwise. Returns at once; the bytes are kept until they are delivered.
  virtual void post(int to, Channel channel, std::int32_t kind, std::string bytes) = 0;
  // Pairwise. A message that has arrived, if any.
  virtual std::optional<Message> poll(Channel channel) = 0;
  // Waits until everything posted has left.
  virtual void flush() = 0;

  // Waits for a message: polls, sleeping up to a millisecond in between. comm::cancel() ends it, and flush().
  Message take(Channel channel);
};

std::unique_ptr<Mailbox> self_mailbox();
// On a communicator of its own; MPI as for mpi_comm(). Collective.
std::unique_ptr<Mailbox> mpi_mailbox();

}  // namespace thresher::comm
