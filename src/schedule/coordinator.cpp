#include "thresher/schedule/coordinator.h"

#include <chrono>
#include <thread>
#include <utility>

#include "schedule/protocol.h"
#include "thresher/base/clock.h"

namespace thresher::schedule {

using comm::Channel;

Coordinator::Coordinator(comm::Mailbox& mailbox, int ranks, LeaseQueue& queue, CoordinatorHooks hooks)
    : mailbox_(mailbox), ranks_(ranks), queue_(queue), hooks_(std::move(hooks)) {}

void Coordinator::run() {
  while (finished_ < ranks_) {
    if (const auto message = mailbox_.poll(Channel::coordinator)) {
      handle(*message);
    } else {
      if (!error_) hooks_.advanced(advance_);
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
  }
  mailbox_.flush();
  if (error_) throw *error_;
}

void Coordinator::handle(const comm::Message& message) {
  switch (static_cast<Kind>(message.kind)) {
    case Kind::request:
      if (!error_) mailbox_.post(message.from, Channel::lease, Kind::lease, pack_message(queue_.lease()));
      return;
    case Kind::part:
      if (error_) return;
      try {
        as_error([&] { take_part(message); });
      } catch (const base::Error& error) {
        end_with(error);
      }
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

void Coordinator::take_part(const comm::Message& message) {
  std::string_view bytes;
  const auto header = unpack_message<PartHeader>(message.bytes, &bytes);
  const base::Stopwatch watch;
  hooks_.commit(header.shard, bytes);
  commit_seconds_ += watch.seconds();
  queue_.complete(header.shard);
  ++advance_.shards;
  advance_.documents += header.documents;
  advance_.tokens += header.tokens;
  advance_.failures += header.failures;
  mailbox_.post(message.from, Channel::credit, Kind::committed, {});
  hooks_.advanced(advance_);
}

void Coordinator::end_with(const base::Error& error) {
  error_ = error;
  for (int rank = 0; rank < ranks_; ++rank)
    for (Channel channel : {Channel::lease, Channel::credit})
      mailbox_.post(rank, channel, Kind::stop, pack_error(error));
}

}  // namespace thresher::schedule
