#include "schedule/tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "schedule/agree.h"
#include "thresher/base/check.h"
#include "thresher/base/log.h"
#include "thresher/device/cuda.h"

namespace thresher::schedule {
namespace {

// Lines of this rank's that no rank before it has.
std::string own_lines(const std::vector<std::string>& lists, std::size_t rank) {
  std::string before = "\n", own;
  for (std::size_t r = 0; r < rank; ++r) before += lists[r];
  for (std::size_t at = 0, end = 0; at < lists[rank].size(); at = end + 1) {
    end = lists[rank].find('\n', at);
    const std::string line = lists[rank].substr(at, end + 1 - at);
    if (before.find("\n" + line) == std::string::npos) own += line;
  }
  return own;
}

void report(const device::Tuning& tuning) {
  double seconds = 0, unmeasured = 0;
  std::string text;
  for (const device::Tuned& one : tuning.steps) {
    seconds += one.seconds;
    unmeasured += one.first_seconds;
    text += fmt::format("\n  {}: {:.1f} TFLOP/s, unmeasured {:.1f}", one.step, one.flop / one.seconds / 1e12,
                        one.flop / one.first_seconds / 1e12);
    if (!one.note.empty()) text += fmt::format(" ({})", one.note);
  }
  base::info(fmt::format("algorithms of {} kinds of steps measured in {:.2f} s: {:.1f} % less time than unmeasured{}",
                         tuning.steps.size(), tuning.seconds, 100 * (1 - seconds / unmeasured), text));
}

}  // namespace

std::string tune_together(const TuningTask& task) {
  comm::Comm& world = task.world;
  const std::vector<std::string> kinds = world.all_gather(task.device.isa());
  if (std::ranges::any_of(kinds, [&](const auto& kind) { return kind != kinds.front(); })) return task.known;
  std::string steps;
  agree(world, task.names,
        [&] { task.guarded([&] { steps = device::rehearse(task.device, [&] { task.transformer.rehearse(); }); }); });
  const std::string own = own_lines(world.all_gather(steps), static_cast<std::size_t>(world.rank()));
  device::Tuning tuning;
  agree(world, task.names, [&] {
    if (own.empty()) return;
    task.guarded([&] { tuning = device::tune(task.device, own); });
    report(tuning);
  });
  std::string fresh;
  for (const std::string& text : world.all_gather(tuning.algorithms)) fresh += text;
  agree(world, task.names, [&] { device::take_algorithms(task.device, fresh); });
  return task.known.empty() ? device::algorithms_of(task.device) : task.known + fresh;
}

void give_algorithms(device::Device& device, const std::string& known, const std::string& output) {
  try {
    device::take_algorithms(device, known);
  } catch (const base::Error& error) {
    base::fail(error.code(), fmt::format("{}/algorithms.txt: {}; go on with the GPUs and libraries that the job began "
                                         "with, or give another --output, or --fresh to start anew",
                                         output, error.what()));
  }
}

}  // namespace thresher::schedule
