#include "schedule/report_gpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace thresher::schedule {
namespace {

constexpr const char *energy = "gpu energy", *utilisation = "gpu utilisation", *gpu_clock = "gpu clock",
                     *throttled = "gpu throttled", *memory = "gpu memory", *allocated = "gpu allocated";

// Of each GPU that any rank has a value for.
std::vector<double> by_gpu(const Outcome& outcome, const char* name, bool add) {
  std::map<std::string, double> values;
  for (std::size_t rank = 0; rank < outcome.gpus.size(); ++rank) {
    const auto& metrics = outcome.ranks[rank].values();
    const auto found = metrics.find(name);
    if (found == metrics.end()) continue;
    double& value = values.emplace(outcome.gpus[rank], 0).first->second;
    // Ranks on one GPU saw the same GPU, but allocated memory of their own.
    value = add ? value + found->second : std::max(value, found->second);
  }
  std::vector<double> list;
  for (const auto& [uuid, value] : values) list.push_back(value);
  return list;
}

std::optional<double> sum(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  double total = 0;
  for (const double value : values) total += value;
  return total;
}

std::optional<double> mean(const std::vector<double>& values) {
  const auto total = sum(values);
  return total ? std::optional(*total / static_cast<double>(values.size())) : std::nullopt;
}

std::optional<double> most(const std::vector<double>& values) {
  return values.empty() ? std::nullopt : std::optional(*std::ranges::max_element(values));
}

}  // namespace

void note_gpu(base::Metrics& metrics, const device::GpuUse& use, std::int64_t allocated_peak) {
  const auto note = [&](const char* name, const auto& value) {
    if (value) metrics.set(name, static_cast<double>(*value));
  };
  note(energy, use.energy);
  note(utilisation, use.utilisation);
  note(gpu_clock, use.clock);
  note(throttled, use.throttled);
  note(memory, use.memory_peak);
  metrics.set(allocated, static_cast<double>(allocated_peak));
}

GpuTotals gpu_totals(const Outcome& outcome) {
  GpuTotals totals;
  std::vector<std::string> uuids = outcome.gpus;
  std::ranges::sort(uuids);
  totals.gpus = static_cast<int>(std::unique(uuids.begin(), uuids.end()) - uuids.begin());
  totals.energy = sum(by_gpu(outcome, energy, false));
  totals.utilisation = mean(by_gpu(outcome, utilisation, false));
  totals.clock = mean(by_gpu(outcome, gpu_clock, false));
  totals.throttled = most(by_gpu(outcome, throttled, false));
  totals.memory_peak = most(by_gpu(outcome, memory, false));
  totals.allocated_peak = most(by_gpu(outcome, allocated, true));
  double tokens = 0;
  for (const base::Metrics& rank : outcome.ranks) tokens += rank.value("tokens scored");
  if (totals.energy && tokens > 0) totals.joules_per_token = *totals.energy / tokens;
  return totals;
}

std::string gpu_text(const GpuTotals& totals) {
  if (totals.gpus == 0) return "";
  std::string text = fmt::format("{} GPU{}", totals.gpus, totals.gpus == 1 ? "" : "s");
  constexpr double mib = 1 << 20;
  if (totals.energy) text += fmt::format(", {:.1f} kJ", 1e-3 * *totals.energy);
  if (totals.joules_per_token) text += fmt::format(", {:.2f} mJ a token", 1e3 * *totals.joules_per_token);
  if (totals.utilisation) text += fmt::format(", busy {:.1f} % of the time", 100 * *totals.utilisation);
  if (totals.clock) text += fmt::format(", at {:.0f} MHz", *totals.clock);
  if (totals.throttled) text += fmt::format(", held down for {:.1f} s", *totals.throttled);
  if (totals.allocated_peak) text += fmt::format(", {:.1f} MiB allocated at most", *totals.allocated_peak / mib);
  if (totals.memory_peak) text += fmt::format(", {:.1f} MiB in use", *totals.memory_peak / mib);
  return text + "\n";
}

}  // namespace thresher::schedule
