#include "simulation/launch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace thresher::simulation {
namespace {

using comm::Channel;
using schedule::Kind;
using schedule::StopLevel;

constexpr std::int64_t most_events = 1'000'000;  // many times what the longest job takes
constexpr double soon = 2e-3;                    // for the launcher to end the other ranks, at most

}  // namespace

std::vector<bool> CommitRule::begin(schedule::JobRecord& record, base::FileSystem&, const store::Plan& plan) {
  return record.settle(plan);
}

void CommitRule::commit(schedule::JobRecord& record, base::FileSystem&,
                        std::span<const schedule::CommittedPart> parts) {
  record.directory().commit(parts);
}

Launch::Launch(const Options& options, tests::Random& random, std::set<std::int64_t>& acknowledged)
    : options_(options),
      random_(random),
      acknowledged_(acknowledged),
      network_(events_, random, options.ranks, [this](int rank, Channel channel) { hear(rank, channel); }),
      around_{events_,
              random,
              options.world,
              options.builds_parts,
              [this](int rank, const std::function<void()>& work) { run_rank(rank, work); },
              [this](std::int64_t shard) { acknowledged_.insert(shard); }} {
  for (int rank = 0; rank < options.ranks; ++rank)
    ranks_.push_back(std::make_unique<Rank>(options.number, rank, around_, network_.mailbox(rank), options.disk));
  for (const auto& [rank, fault] : options.disturbance.faults)
    ranks_[static_cast<std::size_t>(rank)]->files().inject(fault);
  leader().files().before(options.disturbance.meanwhile_call, options.disturbance.meanwhile);
}

// An error after the process died is only what it had begun to say.
void Launch::run_rank(int number, const std::function<void()>& work) {
  Rank& rank = *ranks_[static_cast<std::size_t>(number)];
  if (rank.ended()) return;
  try {
    work();
  } catch (const tests::Crash&) {
    die(number);
  } catch (const base::Error& error) {
    if (rank.files().dead())
      die(number);
    else
      fail(rank, error);
  }
}

// As monitors do it: rank zero hears of the error and tells all ranks.
void Launch::fail(Rank& rank, const base::Error& error) {
  if (!outcome_.error) outcome_.error = error;
  rank.end();
  if (rank.number() == 0 && ranks_.size() == 1) return;
  rank.mailbox().post(0, Channel::monitor, Kind::failed, schedule::pack_error(error));
}

void Launch::hear_monitor(Rank& rank) {
  while (const auto message = rank.mailbox().poll(Channel::monitor)) {
    if (rank.number() == 0)
      for (int other = 1; other < options_.ranks; ++other)
        rank.mailbox().post(other, Channel::monitor, message->kind, message->bytes);
    if (message->kind == Kind::failed) rank.end();
    if (message->kind == Kind::stop && !rank.ended()) rank.wind_up();
  }
}

void Launch::bury(int rank) {
  ranks_[static_cast<std::size_t>(rank)]->files().die();
  ranks_[static_cast<std::size_t>(rank)]->end();
  network_.die(rank);
}

// The launcher ends the others when a rank is gone, soon; without power they end at once.
void Launch::die(int rank) {
  bury(rank);
  if (std::exchange(falling_, true)) return;
  for (int other = 0; other < options_.ranks; ++other) {
    if (other == rank) continue;
    if (options_.disturbance.power)
      bury(other);
    else
      events_.after(soon * random_.share(), [this, other] { bury(other); });
  }
}

void Launch::hear(int number, Channel channel) {
  Rank& rank = *ranks_[static_cast<std::size_t>(number)];
  if (channel == Channel::monitor) return hear_monitor(rank);
  if (channel != Channel::coordinator) return run_rank(number, [&] { rank.hear(channel); });
  if (stepping_) return;
  stepping_ = true;
  events_.after(5e-4 * random_.share(), [this] {
    stepping_ = false;
    run_rank(0, [this] { step(); });
  });
}

// Rank zero takes the directory.
void Launch::open() {
  base::FileSystem& files = leader().files();
  record_ = std::make_unique<schedule::JobRecord>(files, options_.directory, options_.fresh, options_.codec);
  if (options_.fresh) acknowledged_.clear();
  const std::vector<bool> done = options_.rule.begin(*record_, files, options_.world.plan);
  outcome_.settled = true;
  for (const std::int64_t shard : acknowledged_)
    if (!done[static_cast<std::size_t>(shard)]) throw Broken(fmt::format("shard {} was committed and is gone", shard));
  queue_.emplace(done, options_.ranks);
}

void Launch::begin() {
  schedule::CoordinatorHooks hooks{
      .commit =
          [this](std::span<const schedule::CommittedPart> parts) {
            options_.rule.commit(*record_, leader().files(), parts);
          },
      .committed = [this](std::int64_t shard) { acknowledged_.insert(shard); },
      .advanced = [](const schedule::Advance&) {},
      .stop = [this] { return stop_; },
      .drop = [] { base::fail(base::Exit::again, "stopped: what is not finished is dropped"); }};
  coordinator_.emplace(leader().mailbox(), options_.ranks, *queue_, std::move(hooks), activity_);
  for (const auto& rank : ranks_) run_rank(rank->number(), [&] { rank->start(options_.directory); });
  const Disturbance& disturbance = options_.disturbance;
  if (disturbance.kill_at)
    events_.after(*disturbance.kill_at, [this, &disturbance] {
      if (disturbance.killed >= 0) return die(disturbance.killed);
      for (int rank = 0; rank < options_.ranks; ++rank) bury(rank);
    });
  if (disturbance.intruder_at) events_.after(*disturbance.intruder_at, [this] { intrude(); });
  if (disturbance.stop_at) events_.after(*disturbance.stop_at, [this] { order_stop(); });
}

void Launch::intrude() {
  if (leader().ended()) return;
  tests::FaultyFiles files(options_.disk, "intruder");
  try {
    const schedule::JobRecord second(files, options_.directory, false, options_.codec);
  } catch (const base::Error& error) {
    if (error.code() == base::Exit::again && files.changes() <= 2)
      return;  // the directory, which is there, and the lock
    throw Broken(fmt::format("a second job ends with {}: {}", static_cast<int>(error.code()), error.what()));
  }
  throw Broken("two jobs hold the lock");
}

void Launch::order_stop() {
  if (leader().ended()) return;
  stop_ = options_.disturbance.stop;
  if (stop_ == StopLevel::drop) return run_rank(0, [this] { step(); });
  for (int rank = 0; rank < options_.ranks; ++rank) leader().mailbox().post(rank, Channel::monitor, Kind::stop, {});
}

void Launch::step() {
  coordinator_->step();
  if (!coordinator_->finished() || concluded_) return;
  concluded_ = true;
  // After the last barrier.
  events_.after(1e-3, [this] {
    run_rank(0, [this] {
      if (std::any_of(ranks_.begin(), ranks_.end(), [](const auto& rank) { return rank->ended(); })) return;
      conclude();
    });
  });
}

void Launch::conclude() {
  if (!queue_->finished()) {
    if (stop_ == StopLevel::none) throw Broken(fmt::format("all have finished, {} shards are left", queue_->left()));
    outcome_.end = End::stopped;
  } else {
    Corpus corpus(options_.world.plan.shards.back());
    const store::Totals totals = record_->publish(options_.world.columns, corpus);
    if (!record_->was_complete()) record_->succeed(summary_of(totals), run_text);
    outcome_.end = End::finished;
  }
  for (const auto& rank : ranks_) rank->end();
}

bool Launch::over() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [](const auto& rank) { return rank->ended(); });
}

Outcome Launch::run() {
  run_rank(0, [this] { open(); });
  if (outcome_.settled && !leader().ended()) begin();
  if (!queue_ && !over())
    for (const auto& rank : ranks_) rank->end();
  while (!over()) {
    if (!events_.next()) throw Broken("nobody moves any more");
    if (events_.happened() > most_events) throw Broken("no end is in sight");
  }
  if (outcome_.end == End::killed && outcome_.error) outcome_.end = End::failed;
  outcome_.struck = std::any_of(ranks_.begin(), ranks_.end(), [](const auto& rank) { return rank->files().struck(); });
  return std::move(outcome_);
}

}  // namespace thresher::simulation
