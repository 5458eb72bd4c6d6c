#include "simulation/network.h"

#include <algorithm>
#include <utility>

namespace thresher::simulation {

void Events::after(double seconds, Event event) {
  events_.push_back({now_ + seconds, count_++, std::move(event)});
  std::push_heap(events_.begin(), events_.end());
}

bool Events::next() {
  if (events_.empty()) return false;
  std::pop_heap(events_.begin(), events_.end());
  Entry entry = std::move(events_.back());
  events_.pop_back();
  now_ = entry.time;
  ++happened_;
  entry.event();
  return true;
}

class RankMailbox final : public comm::Mailbox {
 public:
  RankMailbox(Network& network, int rank) : network_(network), rank_(rank) {}

  void post(int to, comm::Channel channel, std::int32_t kind, std::string bytes) override {
    network_.send(rank_, to, channel, kind, std::move(bytes));
  }
  std::optional<comm::Message> poll(comm::Channel channel) override {
    auto& inbox = network_.inboxes_[static_cast<std::size_t>(rank_)][static_cast<std::size_t>(channel)];
    if (inbox.empty()) return std::nullopt;
    comm::Message message = std::move(inbox.front());
    inbox.pop_front();
    return message;
  }
  void flush() override {}

 private:
  Network& network_;
  const int rank_;
};

Network::Network(Events& events, tests::Random& random, int ranks, std::function<void(int, comm::Channel)> arrived)
    : events_(events),
      random_(random),
      arrived_(std::move(arrived)),
      dead_(static_cast<std::size_t>(ranks)),
      cut_(static_cast<std::size_t>(ranks)),
      inboxes_(static_cast<std::size_t>(ranks)),
      latest_(static_cast<std::size_t>(ranks * ranks)) {}

std::unique_ptr<comm::Mailbox> Network::mailbox(int rank) {
  return std::make_unique<RankMailbox>(*this, rank);
}

void Network::send(int from, int to, comm::Channel channel, std::int32_t kind, std::string bytes) {
  const double delay = random_.once_in(16) ? 1e-2 * random_.share() : 1e-4 * random_.share();
  const std::size_t pair = static_cast<std::size_t>(from) * inboxes_.size() + static_cast<std::size_t>(to);
  double& latest = latest_[pair][static_cast<std::size_t>(channel)];
  latest = std::max(latest, events_.now() + delay);
  events_.after(latest - events_.now(),
                [this, to, channel, message = comm::Message{from, kind, std::move(bytes)}]() mutable {
                  deliver(to, channel, std::move(message));
                });
}

void Network::deliver(int to, comm::Channel channel, comm::Message message) {
  const auto from = static_cast<std::size_t>(message.from);
  if (dead_[from] && random_.once_in(2)) cut_[from] = true;
  if (cut_[from] || dead_[static_cast<std::size_t>(to)]) return;
  inboxes_[static_cast<std::size_t>(to)][static_cast<std::size_t>(channel)].push_back(std::move(message));
  arrived_(to, channel);
}

}  // namespace thresher::simulation
