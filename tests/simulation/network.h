// A clock that moves from event to event, and messages that take their time.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/random.h"
#include "thresher/comm/mailbox.h"

namespace thresher::simulation {

// What happens when, in order; at the same moment in the order in which it was asked for.
class Events {
 public:
  using Event = std::function<void()>;

  double now() const { return now_; }
  void after(double seconds, Event event);
  // Lets the next event happen. False if there is none.
  bool next();
  std::int64_t happened() const { return happened_; }

 private:
  struct Entry {
    double time;
    std::int64_t number;
    Event event;
    bool operator<(const Entry& other) const { return time != other.time ? time > other.time : number > other.number; }
  };
  std::vector<Entry> events_;  // a heap, the next one in front
  double now_ = 0;
  std::int64_t count_ = 0, happened_ = 0;
};

// Between two ranks and on one channel messages keep their order, as those of MPI do; others overtake each other. What
// a rank sent before it died arrives up to some moment and is lost from then on.
class Network {
 public:
  // `arrived` is called when a message can be polled.
  Network(Events& events, tests::Random& random, int ranks, std::function<void(int rank, comm::Channel)> arrived);

  std::unique_ptr<comm::Mailbox> mailbox(int rank);
  void die(int rank) { dead_[static_cast<std::size_t>(rank)] = true; }

 private:
  friend class RankMailbox;
  static constexpr std::size_t channels = 5;
  void send(int from, int to, comm::Channel channel, std::int32_t kind, std::string bytes);
  void deliver(int to, comm::Channel channel, comm::Message message);

  Events& events_;
  tests::Random& random_;
  const std::function<void(int, comm::Channel)> arrived_;
  std::vector<bool> dead_, cut_;
  std::vector<std::array<std::deque<comm::Message>, channels>> inboxes_;
  std::vector<std::array<double, channels>> latest_;  // arrival, by sender, receiver and channel
};

}  // namespace thresher::simulation
