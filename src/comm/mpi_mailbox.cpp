#include <chrono>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "comm/mpi_call.h"
#include "thresher/comm/mailbox.h"

namespace thresher::comm {
namespace {

// On the wire a message is whole 8-byte words, so that an int count reaches 16 GiB: a header word (kind, padding) and
// the bytes padded with zeros.
using Word = std::uint64_t;

std::vector<Word> to_wire(std::int32_t kind, const std::string& bytes) {
  const std::size_t words = (bytes.size() + sizeof(Word) - 1) / sizeof(Word);
  std::vector<Word> wire(words + 1);
  const Word padding = words * sizeof(Word) - bytes.size();
  wire[0] = (Word{static_cast<std::uint32_t>(kind)} << 32) | padding;
  if (!bytes.empty()) std::memcpy(wire.data() + 1, bytes.data(), bytes.size());
  return wire;
}

Message from_wire(int from, const std::vector<Word>& wire) {
  Message message{from, static_cast<std::int32_t>(wire[0] >> 32), {}};
  const std::size_t padding = wire[0] & 0xffffffffu;
  message.bytes.resize((wire.size() - 1) * sizeof(Word) - padding);
  if (!message.bytes.empty()) std::memcpy(message.bytes.data(), wire.data() + 1, message.bytes.size());
  return message;
}

// Messages to the own rank never touch MPI. The channel is the MPI tag.
class MpiMailbox : public Mailbox {
 public:
  MpiMailbox() { check(MPI_Comm_rank(comm_.raw(), &rank_)); }

  ~MpiMailbox() override {
    // Only a job that ends with an error leaves sends behind; their buffers must outlive MPI's use of them.
    for (Sending& sending : sending_) MPI_Request_free(&sending.request);
    if (!sending_.empty()) new std::list<Sending>(std::move(sending_));
  }

  void post(int to, Channel channel, std::int32_t kind, std::string bytes) override {
    std::lock_guard lock(mutex_);
    if (to == rank_) {
      own_[channel].push_back({to, kind, std::move(bytes)});
      return;
    }
    release_sent();
    Sending& sending = sending_.emplace_back();
    sending.wire = to_wire(kind, bytes);
    check(MPI_Isend(sending.wire.data(), static_cast<int>(sending.wire.size()), MPI_UINT64_T, to,
                    static_cast<int>(channel), comm_.raw(), &sending.request));
  }

  std::optional<Message> poll(Channel channel) override {
    std::lock_guard lock(mutex_);
    release_sent();
    auto& own = own_[channel];
    if (!own.empty()) {
      Message message = std::move(own.front());
      own.pop_front();
      return message;
    }
    int arrived = 0;
    MPI_Message handle = MPI_MESSAGE_NULL;
    MPI_Status status;
    check(MPI_Improbe(MPI_ANY_SOURCE, static_cast<int>(channel), comm_.raw(), &arrived, &handle, &status));
    if (!arrived) return std::nullopt;
    int words = 0;
    check(MPI_Get_count(&status, MPI_UINT64_T, &words));
    std::vector<Word> wire(static_cast<std::size_t>(words));
    check(MPI_Mrecv(wire.data(), words, MPI_UINT64_T, &handle, MPI_STATUS_IGNORE));
    return from_wire(status.MPI_SOURCE, wire);
  }

  void flush() override {
    for (;;) {
      {
        std::lock_guard lock(mutex_);
        release_sent();
        if (sending_.empty()) return;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }

 private:
  struct Sending {
    std::vector<Word> wire;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  void release_sent() {
    for (auto it = sending_.begin(); it != sending_.end();) {
      int done = 0;
      check(MPI_Test(&it->request, &done, MPI_STATUS_IGNORE));
      it = done ? sending_.erase(it) : std::next(it);
    }
  }

  OwnComm comm_;
  int rank_ = 0;
  std::mutex mutex_;
  std::map<Channel, std::deque<Message>> own_;
  std::list<Sending> sending_;
};

}  // namespace

std::unique_ptr<Mailbox> mpi_mailbox() {
  return std::make_unique<MpiMailbox>();
}

}  // namespace thresher::comm
