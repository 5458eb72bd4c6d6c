#include "thresher/schedule/coordinator.h"

#include <chrono>
#include <thread>
#include <utility>

#include "schedule/protocol.h"
#include "thresher/base/clock.h"

namespace thresher::schedule {

using comm::Channel;

namespace {

constexpr std::size_t most_at_once = 32;  // parts of one round of syncs

}  // namespace

Coordinator::Coordinator(comm::Mailbox& mailbox, int ranks, LeaseQueue& queue, CoordinatorHooks hooks)
    : mailbox_(mailbox), ranks_(ranks), queue_(queue), hooks_(std::move(hooks)) {}

void Coordinator::run() {
  while (finished_ < ranks_) {
    while (waiting_.size() < most_at_once) {
      auto message = mailbox_.poll(Channel::coordinator);
      if (!message) break;
      handle(std::move(*message));
    }
    if (!waiting_.empty()) {
      commit_waiting();
      continue;
    }
    if (!error_) hooks_.advanced(advance_);
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  mailbox_.flush();
  if (error_) throw *error_;
}

void Coordinator::handle(comm::Message message) {
  switch (static_cast<Kind>(message.kind)) {
    case Kind::request:
      if (!error_) mailbox_.post(message.from, Channel::lease, Kind::lease, pack_message(queue_.lease()));
      return;
    case Kind::part:
      if (!error_) waiting_.push_back(std::move(message));
      return;
    case Kind::failed:
      if (!error_) end_with(unpack_error(message.bytes));
      return;
    case Kind::finished:
      ++finished_;
      return;
    default:
      base::fail(base::Exit::internal, "message of unknown kind " + std::to_string(message.kind));
  }
}

// One round of syncs for all that has arrived.
void Coordinator::commit_waiting() {
  const std::vector<comm::Message> messages = std::exchange(waiting_, {});
  if (error_) return;
  try {
    as_error([&] {
      std::vector<PartHeader> headers;
      std::vector<CommittedPart> parts;
      for (const comm::Message& message : messages) {
        std::string_view bytes;
        headers.push_back(unpack_message<PartHeader>(message.bytes, &bytes));
        parts.emplace_back(headers.back().shard, bytes);
      }
      const base::Stopwatch watch;
      hooks_.commit(parts);
      commit_seconds_ += watch.seconds();
      for (std::size_t i = 0; i < headers.size(); ++i) {
        queue_.complete(headers[i].shard);
        ++advance_.shards;
        advance_.documents += headers[i].documents;
        advance_.tokens += headers[i].tokens;
        advance_.failures += headers[i].failures;
        mailbox_.post(messages[i].from, Channel::credit, Kind::committed, {});
      }
    });
    hooks_.advanced(advance_);
  } catch (const base::Error& error) {
    end_with(error);
  }
}

void Coordinator::end_with(const base::Error& error) {
  error_ = error;
  for (int rank = 0; rank < ranks_; ++rank)
    for (Channel channel : {Channel::lease, Channel::credit})
      mailbox_.post(rank, channel, Kind::stop, pack_error(error));
}

}  // namespace thresher::schedule
