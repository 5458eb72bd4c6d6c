#include "schedule/monitor.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <source_location>
#include <utility>

#include "schedule/protocol.h"
#include "thresher/base/clock.h"
#include "thresher/base/log.h"
#include "thresher/comm/ending.h"
#include "thresher/model/transformer.h"

namespace thresher::schedule {
namespace {

using comm::Channel;

constexpr std::chrono::milliseconds nap{20};
constexpr double beat_seconds = 1;      // between signs of life
constexpr double goodbye_seconds = 5;   // for the other monitors to end
constexpr double leaving_seconds = 10;  // for this rank to notice that the job has ended
constexpr double held_up = 5;           // a look this late means that this process did not run

double now() {
  return base::real_clock().seconds();
}

}  // namespace

Monitor::Monitor(World world, std::vector<std::string> names, const Activities& activities, double limit)
    : world_(world),
      names_(std::move(names)),
      activities_(activities),
      limit_(limit),
      leads_(world.comm.rank() == 0),
      last_look_(now()) {
  if (limit > 0) watch_.emplace(leads_ ? world.comm.size() : 1, limit, now());
  if (world.comm.size() > 1) thread_ = std::thread([this] { run(); });
}

Monitor::~Monitor() {
  leaving_ = true;
  if (thread_.joinable()) thread_.join();
}

void Monitor::rename(std::vector<std::string> names) {
  const std::lock_guard lock(mutex_);
  names_ = std::move(names);
}

std::string Monitor::name_of(int rank) const {
  const std::lock_guard lock(mutex_);
  return names_[static_cast<std::size_t>(rank)];
}

void Monitor::fail(const base::Error& error) {
  if (dynamic_cast<const model::ReaderFailed*>(&error)) await_end();  // the reader's own error is on its way
  const bool nameless = world_.comm.size() == 1 || !is_of_one_rank(error.code());
  const base::Error named = error_of(nameless ? "" : name_of(world_.comm.rank()), error);
  if (world_.comm.size() == 1) return comm::cancel(named);
  world_.mailbox.post(0, Channel::monitor, Kind::failed, pack_error(named));
  await_end();
  comm::cancel(named);  // in case nobody answers
}

void Monitor::await_end() const {
  const base::Stopwatch watch;
  while (!ended_ && watch.seconds() < goodbye_seconds) std::this_thread::sleep_for(nap);
}

void Monitor::run() noexcept {
  try {
    while (!leaving_ && !ended_) {
      look();
      std::this_thread::sleep_for(nap);
    }
    if (!ended_) say_goodbye();
    if (!ended_) return world_.mailbox.flush();
  } catch (const std::exception&) {
    // comm::cancel() ended a wait, and this thread with it.
  }
  await_leaving();
}

// All threads leave at their next wait, unless they are busy with something that may take hours, like an import.
void Monitor::await_leaving() const {
  const base::Stopwatch watch;
  while (!leaving_ && watch.seconds() < leaving_seconds) std::this_thread::sleep_for(nap);
  if (leaving_) return;
  try {
    comm::throw_if_cancelled();
  } catch (const base::Error& error) {
    base::log().write(base::Level::error, error.what());
    std::_Exit(static_cast<int>(error.code()));  // the launcher ends the other ranks
  }
}

void Monitor::look() {
  const double time = now();
  if (watch_ && time - last_look_ > held_up) watch_->forgive(time);
  last_look_ = time;
  while (const auto message = world_.mailbox.poll(Channel::monitor)) handle(*message, time);
  if (time - last_beat_ > beat_seconds) beat(time);
  if (!watch_ || ended_) return;
  if (const auto verdict = leads_ ? watch_->check(time) : watch_->silent(time)) {
    const int rank = leads_ ? verdict->rank : 0;
    end({base::Exit::internal, fmt::format("{}: {}", name_of(rank), verdict->reason), std::source_location()});
  }
}

// The leader tells everyone that it lives, everyone else tells the leader.
void Monitor::beat(double time) {
  last_beat_ = time;
  const std::string pulse = pack_message(activities_.pulse());
  if (!leads_) return world_.mailbox.post(0, Channel::monitor, Kind::pulse, pulse);
  if (watch_) watch_->heard(0, activities_.pulse(), time);
  for (int rank = 1; rank < world_.comm.size(); ++rank) world_.mailbox.post(rank, Channel::monitor, Kind::pulse, pulse);
}

void Monitor::handle(const comm::Message& message, double time) {
  switch (static_cast<Kind>(message.kind)) {
    case Kind::pulse:
      if (watch_) watch_->heard(leads_ ? message.from : 0, unpack_message<Pulse>(message.bytes), time);
      return;
    case Kind::failed:
      return end(unpack_error(message.bytes));
    case Kind::finished:
      ++goodbyes_;
      return;
    default:
      base::fail(base::Exit::internal, "message of unknown kind " + std::to_string(message.kind));
  }
}

void Monitor::end(const base::Error& error) {
  if (ended_) return;
  for (int rank = 1; leads_ && rank < world_.comm.size(); ++rank)
    world_.mailbox.post(rank, Channel::monitor, Kind::failed, pack_error(error));
  comm::cancel(error);
  ended_ = true;
}

// Nothing is left on its way when the mailbox goes.
void Monitor::say_goodbye() {
  for (int rank = 0; rank < world_.comm.size(); ++rank)
    if (leads_ != (rank == 0)) world_.mailbox.post(rank, Channel::monitor, Kind::finished, {});
  const int expected = leads_ ? world_.comm.size() - 1 : 1;
  const base::Stopwatch watch;
  while (goodbyes_ < expected && watch.seconds() < goodbye_seconds) {
    while (const auto message = world_.mailbox.poll(Channel::monitor)) handle(*message, now());
    if (ended_) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace thresher::schedule
