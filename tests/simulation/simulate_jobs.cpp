// simulate_jobs --jobs N [--seed S]: jobs of the seeds S, S + 1 ...; prints the seed of each that goes wrong.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "simulation/simulation.h"
#include "thresher/base/clock.h"
#include "thresher/base/log.h"

namespace {

using namespace thresher;

// The number after `name`; false if there is none.
bool number_after(int count, char** words, std::string_view name, std::uint64_t& value) {
  for (int i = 1; i + 1 < count; ++i) {
    if (words[i] != name) continue;
    const char* end = words[i + 1] + std::strlen(words[i + 1]);
    const auto [last, error] = std::from_chars(words[i + 1], end, value);
    return error == std::errc() && last == end;
  }
  return false;
}

void print(const simulation::Tally& tally, std::int64_t failures, double seconds) {
  fmt::print(
      "{} jobs, {} failures; {} launches of {} ranks: {} finished, {} stopped, {} ended with an error, {} were killed; "
      "{} power losses, {} stragglers, {} intruders, {} damaged parts, {} events, {} directories verified; {:.3f} ms a "
      "job, trace {:016x}\n",
      tally.jobs, failures, tally.launches, tally.ranks, tally.finished, tally.stopped, tally.failed, tally.killed,
      tally.power_losses, tally.stragglers, tally.intruders, tally.damaged, tally.events, tally.verified,
      1e3 * seconds / static_cast<double>(tally.jobs), tally.trace);
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** words) {
  std::uint64_t jobs = 0, seed = 1;
  if (!number_after(count, words, "--jobs", jobs)) {
    fmt::print(stderr, "usage: simulate_jobs --jobs N [--seed S]\n");
    return 64;
  }
  number_after(count, words, "--seed", seed);
  base::log().open(0, false);
  fmt::print("seeds {} to {}\n", seed, seed + jobs - 1);
  const base::Stopwatch watch;
  simulation::Tally total;
  std::int64_t failures = 0;
  for (std::uint64_t done = 0; done < jobs; ++done) {
    try {
      total.add(simulation::simulate_job(seed + done));
    } catch (const std::exception& error) {
      ++failures;
      fmt::print("seed {}: {}\n", seed + done, error.what());
    }
    if ((done + 1) % 100'000 == 0) print(total, failures, watch.seconds());
  }
  print(total, failures, watch.seconds());
  return failures == 0 ? 0 : 1;
}
