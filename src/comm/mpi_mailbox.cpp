#include <algorithm>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "comm/mpi_call.h"
#include "comm/transfer.h"
#include "thresher/comm/mailbox.h"

namespace thresher::comm {
namespace {

// On the wire a message is a header (kind, then four bytes of nothing) and the bytes.
constexpr std::size_t header = 8;
// MPI counts in int.
constexpr std::size_t longest = std::size_t{1} << 31;

// Messages to the own rank never touch MPI. The channel is the MPI tag.
class MpiMailbox : public Mailbox {
 public:
  explicit MpiMailbox(std::shared_ptr<const OwnComm> comm) : comm_(std::move(comm)) {
    std::lock_guard lock(mpi_lock());
    check(MPI_Comm_rank(comm_->raw(), &rank_));
  }

  void post(int to, Channel channel, std::int32_t kind, std::string bytes) override {
    if (to == rank_) {
      std::lock_guard lock(mutex_);
      own_[channel].push_back({to, kind, std::move(bytes)});
      return;
    }
    if (bytes.size() >= longest - header) {
      base::fail(base::Exit::internal, "a message of " + std::to_string(bytes.size()) + " bytes to rank " +
                                           std::to_string(to) + ": the longest has " +
                                           std::to_string(longest - header - 1));
    }
    std::list<Transfer> sending(1);
    std::byte* const wire = sending.front().reserve(header + bytes.size());
    std::memset(wire, 0, header);
    std::memcpy(wire, &kind, sizeof kind);
    std::memcpy(wire + header, bytes.data(), bytes.size());
    std::lock_guard lock(mpi_lock());
    release_sent();
    sending.front().send(comm_->raw(), to, static_cast<int>(channel), 0, header + bytes.size());
    sending_.splice(sending_.end(), sending);
  }

  std::optional<Message> poll(Channel channel) override {
    {
      std::lock_guard lock(mutex_);
      if (auto& own = own_[channel]; !own.empty()) {
        Message message = std::move(own.front());
        own.pop_front();
        return message;
      }
    }
    std::lock_guard lock(mpi_lock());
    release_sent();
    Arriving& arriving = arriving_[channel];
    if (arriving.from < 0 && !find(channel, arriving)) return std::nullopt;
    if (!arriving.transfer.done()) return std::nullopt;
    Message message{std::exchange(arriving.from, -1), 0, {}};
    const std::size_t bytes = arriving.transfer.take_received();
    std::memcpy(&message.kind, arriving.transfer.data(), sizeof message.kind);
    message.bytes.assign(reinterpret_cast<const char*>(arriving.transfer.data()) + header, bytes - header);
    return message;
  }

  void flush() override {
    wait([&] {
      release_sent();
      return sending_.empty();
    });
  }

 private:
  // A message that has been found and may still be on its way.
  struct Arriving {
    int from = -1;  // none
    Transfer transfer;
  };

  // Under the lock.
  bool find(Channel channel, Arriving& arriving) {
    int found = 0, bytes = 0;
    MPI_Message handle = MPI_MESSAGE_NULL;
    MPI_Status status;
    check(MPI_Improbe(MPI_ANY_SOURCE, static_cast<int>(channel), comm_->raw(), &found, &handle, &status));
    if (!found) return false;
    check(MPI_Get_count(&status, MPI_BYTE, &bytes));
    arriving.transfer.reserve(static_cast<std::size_t>(bytes));
    arriving.transfer.receive(handle, static_cast<std::size_t>(bytes));
    arriving.from = status.MPI_SOURCE;
    return true;
  }

  // Looks at a few sends, in turns: there may be thousands.
  void release_sent() {
    for (std::size_t looks = std::min<std::size_t>(8, sending_.size()); looks > 0; --looks) {
      if (sending_.front().done()) {
        sending_.pop_front();
      } else {
        sending_.splice(sending_.end(), sending_, sending_.begin());
      }
    }
  }

  std::shared_ptr<const OwnComm> comm_;
  int rank_ = 0;
  std::mutex mutex_;  // of own_
  std::map<Channel, std::deque<Message>> own_;
  std::map<Channel, Arriving> arriving_;
  std::list<Transfer> sending_;
};

}  // namespace

std::unique_ptr<Mailbox> mpi_mailbox() {
  return std::make_unique<MpiMailbox>(own_world());
}

}  // namespace thresher::comm
