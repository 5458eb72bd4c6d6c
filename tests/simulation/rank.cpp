#include "simulation/rank.h"

#include <fmt/format.h>

#include <utility>

namespace thresher::simulation {

using comm::Channel;
using schedule::ReadingOrder;

Rank::Rank(std::int64_t launch, int number, Surroundings& around, std::unique_ptr<comm::Mailbox> mailbox,
           base::FileSystem& disk)
    : number_(number),
      around_(around),
      files_(disk, fmt::format("{}-{}", launch, number)),
      mailbox_(std::move(mailbox)),
      outbox_(*mailbox_),
      width_(around.random.between(1, 3)),
      pace_(1e-3 + 2e-2 * around.random.share()) {}

void Rank::wake(void (Rank::*work)(), double seconds) {
  around_.events.after(seconds, [this, work] { around_.run(number_, [&] { (this->*work)(); }); });
}

void Rank::start(const base::Path& directory) {
  if (around_.world.plan.sharded()) writer_.emplace(files_, directory, around_.world.plan);
  wake(&Rank::read, 1e-3 * around_.random.share());
}

void Rank::hear(Channel channel) {
  if (channel == Channel::lease) wake(&Rank::read);
  if (channel == Channel::credit) {
    while (mailbox_->poll(Channel::credit)) outbox_.committed();
    wake(&Rank::score);
  }
}

void Rank::wind_up() {
  winding_up_ = true;
  order_.stop();
  input_.clear();
  held_.reset();
  starving_ = false;
  wake(&Rank::read);
  wake(&Rank::score);
}

void Rank::read() {
  while (!reading_ && !all_read_ && read_on()) {
  }
}

// False if the reader has to wait.
bool Rank::read_on() {
  if (held_) {
    if (input_.size() >= schedule::shards_ahead) return false;
    input_.push_back(*held_);
    held_.reset();
    wake(&Rank::score);
    return true;
  }
  if (starving_ && !hungry()) return false;
  starving_ = false;
  const auto [what, shard] = order_.next();
  switch (what) {
    case ReadingOrder::Do::request:
      mailbox_->post(schedule::coordinator, Channel::coordinator, schedule::Kind::request, {});
      return true;
    case ReadingOrder::Do::take: {
      const auto message = mailbox_->poll(Channel::lease);
      if (message) order_.leased(schedule::unpack_message<schedule::Lease>(message->bytes));
      return message.has_value();
    }
    case ReadingOrder::Do::read:
      reading_ = true;
      around_.events.after(1e-3 * around_.random.share(), [this, shard = shard] {
        around_.run(number_, [&] {
          reading_ = false;
          if (!winding_up_) held_ = shard;
          read();
        });
      });
      return false;
    case ReadingOrder::Do::await_hunger:
      starving_ = true;
      return true;
    case ReadingOrder::Do::end:
      all_read_ = true;
      wake(&Rank::score);
      return false;
  }
  return false;
}

void Rank::score() {
  while (!scored_.empty() && deliver(scored_.front())) scored_.pop_front();
  while (scored_.empty() && !input_.empty() && scoring_ < width_) {
    const std::int64_t shard = input_.front();
    input_.pop_front();
    ++scoring_;
    around_.events.after(pace_ * (0.5 + around_.random.share()), [this, shard] {
      around_.run(number_, [&] {
        --scoring_;
        // Of those that are under way when the job is stopped, some are finished in time.
        if (!winding_up_ || around_.random.once_in(2)) scored_.push_back(shard);
        score();
      });
    });
    wake(&Rank::read);
  }
  if (starving_) wake(&Rank::read);
  if (all_read_ && input_.empty() && !held_ && scoring_ == 0 && scored_.empty()) finish();
}

schedule::FinishedPart Rank::part_of(std::int64_t shard) const {
  const World& world = around_.world;
  if (around_.builds_parts)
    return schedule::finish_part(rows_of(world.plan, shard, world.columns), world.columns, world.plan.identity(),
                                 pace_);
  return {{.shard = shard, .seconds = pace_}, world.parts[static_cast<std::size_t>(shard)]};
}

// False if too many are on their way.
bool Rank::deliver(std::int64_t shard) {
  if (!writer_) {
    if (outbox_.full()) return false;
    outbox_.post(part_of(shard));
    return true;
  }
  if (to_commit_.size() >= static_cast<std::size_t>(schedule::parts_in_flight)) return false;
  to_commit_.push_back(part_of(shard));
  wake(&Rank::commit, 1e-3 * around_.random.share());
  return true;
}

// All that wait, in one round of syncs.
void Rank::commit() {
  if (committing_ || to_commit_.empty()) return;
  const std::vector<schedule::FinishedPart> parts = std::exchange(to_commit_, {});
  schedule::commit_own(*writer_, *mailbox_, parts);
  for (const schedule::FinishedPart& part : parts) around_.durable(part.header.shard);
  committing_ = true;
  around_.events.after(2e-3 * around_.random.share(), [this] {
    around_.run(number_, [&] {
      committing_ = false;
      commit();
      score();
    });
  });
}

void Rank::finish() {
  if (finished_ || !outbox_.empty() || committing_ || !to_commit_.empty()) return;
  finished_ = true;
  mailbox_->post(schedule::coordinator, Channel::coordinator, schedule::Kind::finished, {});
}

}  // namespace thresher::simulation
