#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "schedule/progress.h"
#include "thresher/schedule/plan_report.h"

namespace thresher::schedule {
namespace {

constexpr std::size_t layouts_shown[] = {3, 9};  // that do not fit, that fit

std::string size_text(double bytes) {
  constexpr double unit[] = {1024.0 * 1024 * 1024 * 1024, 1024.0 * 1024 * 1024, 1024.0 * 1024};
  if (bytes >= unit[0]) return fmt::format("{:.1f} TiB", bytes / unit[0]);
  if (bytes >= unit[1]) return fmt::format("{:.1f} GiB", bytes / unit[1]);
  return fmt::format("{:.1f} MiB", bytes / unit[2]);
}

std::string energy_text(double joules) {
  if (joules >= 3.6e9) return fmt::format("{:.2f} MWh", joules / 3.6e9);
  return joules >= 3.6e6 ? fmt::format("{:.2f} kWh", joules / 3.6e6) : fmt::format("{:.1f} Wh", joules / 3600);
}

std::string head_text(const PlanReport& report) {
  const Load& load = report.demand.load;
  const Machine& machine = report.machine;
  const Cost& cost = report.candidates.front().cost;
  std::string text = fmt::format("model    {}: {:.3g} billion parameters, {}{}\n", report.model,
                                 static_cast<double>(report.demand.config.parameters()) / 1e9,
                                 tensor::name_of(report.demand.dtype), report.demand.int8_head ? ", its head too" : "");
  text += fmt::format(
      "corpus   {}: {} documents, {} tokens fed, {} scored,\n         mean context {:.0f}, longest "
      "window {:.0f} tokens\n",
      report.corpus, count_text(load.documents), count_text(load.fed), count_text(load.scored), load.length() / 2,
      load.longest);
  text +=
      fmt::format("machine  {}: {} rank{} on {} node{}, batches of {} tokens\n", machine.name, report.ranks,
                  report.ranks == 1 ? "" : "s", cost.nodes, cost.nodes == 1 ? "" : "s", count_text(cost.batch_tokens));
  return text;
}

std::string layout_line(const Candidate& one) {
  const Cost& cost = one.cost;
  std::string line = fmt::format(
      "{:<22}{:>14}{:>15}{:>15}{:>15}\n", cost.layout.text(), one.fits ? count_text(cost.tokens_per_second) : "-",
      one.fits ? duration_text(cost.seconds) : "-", size_text(cost.most_memory()), size_text(cost.node_memory));
  return one.reason.empty() ? line : line + fmt::format("    {}\n", one.reason);
}

// The best of those that fit, and of those that do not the ones that nearly do.
std::string table(const PlanReport& report) {
  std::string text =
      fmt::format("\n{:<22}{:>14}{:>15}{:>15}{:>15}\n", "layout", "tokens/s", "time", "rank's memory", "node's memory");
  std::size_t shown[2] = {0, 0}, left = 0;
  for (const Candidate& one : report.candidates) {
    if (shown[one.fits]++ < layouts_shown[one.fits]) {
      text += layout_line(one);
    } else {
      ++left;
    }
  }
  return left == 0 ? text : text + fmt::format("... {} more with --json\n", left);
}

bool alike(const StageCost& a, const StageCost& b) {
  return a.halves.count() == b.halves.count() && std::abs(a.time.total() / b.time.total() - 1) < 0.01;
}

// A line a stage; neighbours that are alike share one.
std::string stage_table(const Cost& cost) {
  std::string text = fmt::format("\n{:<8}{:>12}{:>11}{:>11}{:>9}{:>9}{:>9}{:>9}{:>9}\n", "stage", "half layers",
                                 "ms a batch", "products", "head", "attend", "vectors", "sums", "sends");
  for (std::size_t first = 0, last = 0; first < cost.stages.size(); first = ++last) {
    const StageCost& stage = cost.stages[first];
    while (last + 1 < cost.stages.size() && alike(stage, cost.stages[last + 1])) ++last;
    const StageTime& time = stage.time;
    const double all = time.total() / 100;
    text += fmt::format("{:<8}{:>12}{:>11.2f}{:>10.1f}%{:>8.1f}%{:>8.1f}%{:>8.1f}%{:>8.1f}%{:>8.1f}%\n",
                        first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last),
                        stage.halves.count(), 1e3 * time.total(), time.products / all, time.head / all,
                        time.attention / all, time.elementwise / all, time.reduce / all, time.boundary / all);
  }
  return text;
}

std::string memory_text(const Cost& cost) {
  const auto heaviest = std::max_element(cost.stages.begin(), cost.stages.end(), [](const auto& a, const auto& b) {
    return a.memory.total() < b.memory.total();
  });
  const Memory& memory = heaviest->memory;
  const std::string streamed =
      memory.streamed == 0
          ? ""
          : fmt::format(
                "streamed from host memory: {} of its {} layers, {} a batch; {:.1f} % of the time waits for them\n",
                memory.streamed, memory.layers, size_text(memory.pinned),
                100 * heaviest->time.copies / heaviest->time.total());
  return streamed +
         fmt::format(
             "memory of the heaviest rank: {} = weights {}, activations {}, exchange {}, rows {}, gather {}, "
             "base {}; {} while loading\n",
             size_text(memory.total()), size_text(memory.weights), size_text(memory.activations),
             size_text(memory.exchange), size_text(memory.rows), size_text(memory.gather), size_text(memory.base),
             size_text(memory.loading));
}

std::string best_text(const Cost& cost) {
  std::string text = fmt::format("\nbest: {}, {} tokens/s, {} to score", cost.layout.text(),
                                 count_text(cost.tokens_per_second), duration_text(cost.seconds));
  text += fmt::format(" and {} to load, {}", duration_text(cost.load_seconds), energy_text(cost.joules));
  if (cost.price > 0) text += fmt::format(", price {:.2f}", cost.price);
  text += stage_table(cost) + memory_text(cost);
  const bool sharded = output_mode(cost.output_bytes) == OutputMode::sharded;
  text += fmt::format(
      "results: {}, {}\n", size_text(cost.output_bytes),
      sharded ? "written by the replicas (--output-mode sharded)" : "written by rank 0 (--output-mode gather)");
  if (cost.output_limit > 0 && cost.tokens_per_second >= cost.output_limit)
    text += fmt::format("NOTE: the disk of the results is the limit: {} tokens/s\n", count_text(cost.output_limit));
  return text;
}

std::string simulation_text(const SimulationResult& result) {
  return fmt::format(
      "\nsimulated: {} leases of at most {} shards, {} parts in {} rounds of commits ({} events)\n"
      "  replicas score {:.1f}% of the time, wait for leases {:.2f}%, for credits {:.2f}%, are done early {:.2f}%\n"
      "  rank 0: {:.1f} requests/s ({:.1f} in the worst hundredth), {}/s gathered, busy {:.1f}%\n",
      count_text(static_cast<double>(result.counts.leases)), result.counts.longest_lease,
      count_text(static_cast<double>(result.counts.parts)), count_text(static_cast<double>(result.commits)),
      count_text(static_cast<double>(result.events)), 100 * result.busy, 100 * result.wait_lease,
      100 * result.wait_credit, 100 * result.tail, result.requests_per_second, result.peak_requests_per_second,
      size_text(result.gather_bytes_per_second), 100 * result.coordinator_busy);
}

}  // namespace

std::string plan_text(const PlanReport& report) {
  std::string text = head_text(report) + table(report);
  const Candidate& best = report.candidates.front();
  if (!best.fits) return text + "\nnothing fits: more ranks or nodes, or a smaller --tokens-per-batch\n";
  text += best_text(best.cost);
  if (report.simulated) text += simulation_text(*report.simulated);
  return text;
}

}  // namespace thresher::schedule
