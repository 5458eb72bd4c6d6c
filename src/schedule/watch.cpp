#include "thresher/schedule/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace thresher::schedule {

using base::Doing;

void Pulse::set(int thread, const base::Activity::State& state) {
  Thread& one = threads[thread];
  one.doing = state.doing;
  one.ticks = state.ticks;
  one.seconds = state.seconds;
  std::strncpy(one.what, state.what, sizeof one.what - 1);
}

Pulse Activities::pulse() const {
  Pulse pulse;
  pulse.set(0, scorer.state());
  pulse.set(1, reader.state());
  pulse.set(2, committer.state());
  return pulse;
}

std::string describe(const Pulse& pulse) {
  // What a rank waits for says less than what it does.
  for (const Doing doing : {Doing::computing, Doing::working, Doing::waiting})
    for (const Pulse::Thread& thread : pulse.threads)
      if (thread.doing == doing) return fmt::format("{} for {:.0f} s", thread.what, thread.seconds);
  return "doing nothing";
}

Watch::Watch(int ranks, double limit, double now) : limit_(limit), moved_(now) {
  ranks_.resize(static_cast<std::size_t>(ranks));
  forgive(now);
}

void Watch::heard(int rank, const Pulse& pulse, double now) {
  Rank& one = ranks_[static_cast<std::size_t>(rank)];
  bool computes = false, moved = false;
  one.waits = true;
  for (int i = 0; i < 3; ++i) {
    const Pulse::Thread& thread = pulse.threads[i];
    const bool ticked = thread.ticks != one.pulse.threads[i].ticks;
    moved |= ticked;
    if (thread.doing == Doing::computing && !ticked) computes = true;
    if (thread.doing == Doing::computing || thread.doing == Doing::working) one.waits = false;
  }
  if (!computes || moved) one.progress = now;
  if (moved || !one.waits) moved_ = now;
  one.pulse = pulse;
  one.heard = now;
}

void Watch::forgive(double now) {
  moved_ = now;
  for (Rank& rank : ranks_) rank.heard = rank.progress = now;
}

std::vector<Watch::Word> Watch::words(double now) const {
  std::vector<Word> words;
  for (const Rank& rank : ranks_) words.push_back({now - rank.heard, describe(rank.pulse)});
  return words;
}

std::optional<Watch::Verdict> Watch::silent(double now) const {
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
    if (const double silence = now - ranks_[rank].heard; silence > limit_)
      return Verdict{static_cast<int>(rank), fmt::format("no sign of life for {:.0f} s; then it was {}", silence,
                                                         describe(ranks_[rank].pulse))};
  return std::nullopt;
}

std::optional<Watch::Verdict> Watch::check(double now) const {
  if (auto verdict = silent(now)) return verdict;
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
    if (const double still = now - ranks_[rank].progress; still > limit_)
      return Verdict{static_cast<int>(rank),
                     fmt::format("no progress for {:.0f} s while {}", still, describe(ranks_[rank].pulse))};
  if (now - moved_ <= limit_) return std::nullopt;
  const auto longest = std::max_element(ranks_.begin(), ranks_.end(), [](const Rank& a, const Rank& b) {
    return a.pulse.threads[0].seconds < b.pulse.threads[0].seconds;
  });
  return Verdict{static_cast<int>(longest - ranks_.begin()),
                 fmt::format("all ranks have been waiting for each other for {:.0f} s; this one longest: {}",
                             now - moved_, describe(longest->pulse))};
}

}  // namespace thresher::schedule
