#include "thresher/schedule/coordinator.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "schedule/protocol.h"
#include "thresher/base/clock.h"
#include "thresher/comm/ending.h"

namespace thresher::schedule {

using comm::Channel;

namespace {

// Between two looks. Each takes a core from a scoring thread for a moment: the longer nothing comes, the rarer they
// are.
constexpr std::chrono::microseconds shortest_nap{500}, longest_nap{8000};

}  // namespace

Coordinator::Coordinator(comm::Mailbox& mailbox, int workers, LeaseQueue& queue, CoordinatorHooks hooks,
                         base::Activity& activity)
    : mailbox_(mailbox), workers_(workers), queue_(queue), hooks_(std::move(hooks)), activity_(activity) {}

void Coordinator::run() {
  activity_.begin(base::Doing::waiting, "waiting for requests and parts");
  for (auto nap = shortest_nap; !finished(); std::this_thread::sleep_for(nap)) {
    comm::throw_if_cancelled();
    nap = step() ? shortest_nap : std::min(2 * nap, longest_nap);
  }
  mailbox_.flush();
}

bool Coordinator::step() {
  const bool any = take_arrived();
  const bool all = waiting_.empty();
  if (!all) commit_waiting();
  hooks_.advanced(advance_);
  if (all && stop_level() == StopLevel::drop) hooks_.drop();
  return any;
}

bool Coordinator::take_arrived() {
  bool any = false;
  while (waiting_.size() < static_cast<std::size_t>(parts_at_once)) {
    auto message = mailbox_.poll(Channel::coordinator);
    if (!message) break;
    handle(std::move(*message));
    any = true;
  }
  return any;
}

void Coordinator::handle(comm::Message message) {
  switch (static_cast<Kind>(message.kind)) {
    case Kind::request: {
      const Lease lease = stop_level() == StopLevel::none ? queue_.lease() : Lease{};
      return mailbox_.post(message.from, Channel::lease, Kind::lease, pack_message(lease));
    }
    case Kind::part:
      waiting_.push_back(std::move(message));
      return;
    case Kind::settled:
      return settle(unpack_message<PartHeader>(message.bytes));
    case Kind::finished:
      ++finished_;
      return;
    default:
      base::fail(base::Exit::internal, "message of unknown kind " + std::to_string(message.kind));
  }
}

// One round of syncs for all that has arrived.
void Coordinator::commit_waiting() {
  const base::During during(activity_, base::Doing::working, "committing parts");
  const std::vector<comm::Message> messages = std::exchange(waiting_, {});
  std::vector<PartHeader> headers;
  std::vector<CommittedPart> parts;
  for (const comm::Message& message : messages) {
    std::string_view bytes;
    headers.push_back(unpack_message<PartHeader>(message.bytes, &bytes));
    parts.emplace_back(headers.back().shard, bytes);
  }
  const base::Stopwatch watch;
  hooks_.commit(parts);
  const double seconds = watch.seconds();
  commit_seconds_ += seconds;
  if (hooks_.took) hooks_.took(0, seconds);
  for (std::size_t i = 0; i < headers.size(); ++i) {
    settle(headers[i]);
    mailbox_.post(messages[i].from, Channel::credit, Kind::committed, {});
  }
}

void Coordinator::settle(const PartHeader& header) {
  queue_.complete(header.shard);
  hooks_.committed(header.shard);
  ++advance_.shards;
  advance_.documents += header.documents;
  advance_.tokens += header.tokens;
  advance_.failures += header.failures;
  advance_.nan += header.nan;
  if (hooks_.took) hooks_.took(header.seconds, header.commit_seconds);
}

}  // namespace thresher::schedule
