#include "thresher/comm/mailbox.h"

#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "comm/waiting.h"

namespace thresher::comm {
namespace {

class SelfMailbox : public Mailbox {
 public:
  void post(int to, Channel channel, std::int32_t kind, std::string bytes) override {
    std::lock_guard lock(mutex_);
    waiting_[channel].push_back({to, kind, std::move(bytes)});
  }

  std::optional<Message> poll(Channel channel) override {
    std::lock_guard lock(mutex_);
    auto& queue = waiting_[channel];
    if (queue.empty()) return std::nullopt;
    Message message = std::move(queue.front());
    queue.pop_front();
    return message;
  }

  void flush() override {}

 private:
  std::mutex mutex_;
  std::map<Channel, std::deque<Message>> waiting_;
};

}  // namespace

Message Mailbox::take(Channel channel) {
  Patience patience;
  for (;;) {
    throw_if_cancelled();
    if (auto message = poll(channel)) return std::move(*message);
    patience.pause();
  }
}

std::unique_ptr<Mailbox> self_mailbox() {
  return std::make_unique<SelfMailbox>();
}

}  // namespace thresher::comm
