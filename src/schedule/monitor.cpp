#include "schedule/monitor.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <limits>
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
constexpr double beat_seconds = 1;       // between signs of life
constexpr double goodbye_seconds = 5;    // for the other monitors to end
constexpr double leaving_seconds = 10;   // for this rank to notice that the job has ended
constexpr double hurried_seconds = 1.5;  // the same when it was asked to stop
constexpr double drop_seconds = 1;       // for what has arrived to be committed when the rest is dropped
constexpr double one_query = 0.5;        // a signal that all ranks get is answered once
constexpr double held_up = 5;            // a look this late means that this process did not run

double now() {
  return base::real_clock().seconds();
}

}  // namespace

Monitor::Monitor(World world, std::vector<std::string> names, const Activities& activities, double limit, Stop& stop,
                 MonitorHooks hooks)
    : world_(world),
      names_(std::move(names)),
      activities_(activities),
      limit_(limit),
      leads_(world.comm.rank() == 0),
      watch_(leads_ ? world.comm.size() : 1, limit > 0 ? limit : std::numeric_limits<double>::infinity(), now()),
      last_look_(now()),
      stop_(stop),
      hooks_(std::move(hooks)) {
  thread_ = std::thread([this] { run(); });
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
  // What the monitor itself found or was told is known already: a rank that wakes up late would tell it as news.
  if (!ending_) world_.mailbox.post(0, Channel::monitor, Kind::failed, pack_error(named));
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
  const double patience = stop_.level() == StopLevel::none ? leaving_seconds : hurried_seconds;
  while (!leaving_ && watch.seconds() < patience) std::this_thread::sleep_for(nap);
  if (leaving_) return;
  try {
    comm::throw_if_cancelled();
  } catch (const base::Error& error) {
    if (leads_) hooks_.farewell(error);
    base::log().write(error.code() == base::Exit::again ? base::Level::info : base::Level::error, error.what());
    std::_Exit(static_cast<int>(error.code()));  // the launcher ends the other ranks
  }
}

void Monitor::look() {
  const double time = now();
  if (time - last_look_ > held_up) watch_.forgive(time);
  last_look_ = time;
  pass_signals();
  while (const auto message = world_.mailbox.poll(Channel::monitor)) handle(*message, time);
  if (leads_) lead_stop(time);
  if (time - last_beat_ > beat_seconds) beat(time);
  if (ended_ || world_.comm.size() == 1) return;
  if (const auto verdict = leads_ ? watch_.check(time) : watch_.silent(time)) {
    const int rank = leads_ ? verdict->rank : 0;
    end({base::Exit::internal, fmt::format("{}: {}", name_of(rank), verdict->reason), std::source_location()});
  }
}

// Any rank may be the first to hear of a signal, or the only one.
void Monitor::pass_signals() {
  const base::Signals signals = base::signals_so_far();
  if (signals.stops > passed_.stops)
    world_.mailbox.post(0, Channel::monitor, Kind::asked, pack_message(StopRequest{signals.stops, signals.last}));
  if (signals.queries > passed_.queries) world_.mailbox.post(0, Channel::monitor, Kind::query, {});
  passed_ = signals;
}

void Monitor::lead_stop(double time) {
  if (const auto order = stop_.decide(time)) {
    announce(*order);
    for (int rank = 0; rank < world_.comm.size(); ++rank)
      world_.mailbox.post(rank, Channel::monitor, Kind::stop, pack_message(*order));
    dropped_since_ = time;
  }
  const StopLevel level = stop_.level();
  if (level == StopLevel::none || ended_) return;
  const Stop::Phase phase = stop_.phase();
  const bool dropping = level == StopLevel::drop;
  if (phase == Stop::Phase::preparing)
    end({base::Exit::again,
         fmt::format("stopped by {} before scoring began; nothing is lost: give the same command again",
                     stop_.reason()),
         std::source_location()});
  else if (dropping && (phase == Stop::Phase::publishing || time - dropped_since_ > drop_seconds))
    end({base::Exit::again,
         fmt::format("stopped by {}; what was committed is there: give the same command again to go on",
                     stop_.reason()),
         std::source_location()});
}

void Monitor::announce(const StopOrder& order) const {
  const Stop::Phase phase = stop_.phase();
  if (phase == Stop::Phase::preparing) return;
  if (order.level == StopLevel::drop)
    base::info(fmt::format("{}: what is not finished is dropped", stop_.reason()));
  else if (phase == Stop::Phase::scoring)
    base::info(
        fmt::format("{}: no shard is begun any more; those under way have {:.0f} s", stop_.reason(), order.seconds));
  else
    base::info(fmt::format("{}: publishing the results goes on; another signal ends it", stop_.reason()));
}

// The leader tells everyone that it lives, everyone else tells the leader.
void Monitor::beat(double time) {
  last_beat_ = time;
  const std::string pulse = pack_message(activities_.pulse());
  if (!leads_) return world_.mailbox.post(0, Channel::monitor, Kind::pulse, pulse);
  watch_.heard(0, activities_.pulse(), time);
  hooks_.beat(watch_.words(time));
  for (int rank = 1; rank < world_.comm.size(); ++rank) world_.mailbox.post(rank, Channel::monitor, Kind::pulse, pulse);
}

void Monitor::handle(const comm::Message& message, double time) {
  switch (static_cast<Kind>(message.kind)) {
    case Kind::pulse:
      watch_.heard(leads_ ? message.from : 0, unpack_message<Pulse>(message.bytes), time);
      return;
    case Kind::failed:
      return end(unpack_error(message.bytes));
    case Kind::finished:
      ++goodbyes_;
      return;
    case Kind::asked:
      return stop_.asked(unpack_message<StopRequest>(message.bytes), time);
    case Kind::stop:
      return stop_.obey(unpack_message<StopOrder>(message.bytes), time);
    case Kind::query:
      if (time - query_time_ < one_query) return;
      query_time_ = time;
      return hooks_.queried();
    default:
      base::fail(base::Exit::internal, "message of unknown kind " + std::to_string(message.kind));
  }
}

void Monitor::end(const base::Error& error) {
  if (ending_.exchange(true)) return;
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
