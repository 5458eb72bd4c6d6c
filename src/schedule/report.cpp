#include "schedule/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "schedule/progress.h"
#include "schedule/report_gpu.h"

namespace thresher::schedule {
namespace {

// A metric over ranks.
struct Spread {
  double least = 0, mean = 0, most = 0;
};

Spread spread_of(const Outcome& outcome, const std::string& name) {
  Spread spread{outcome.ranks.front().value(name), 0, 0};
  for (const base::Metrics& rank : outcome.ranks) {
    const double value = rank.value(name);
    spread.least = std::min(spread.least, value);
    spread.most = std::max(spread.most, value);
    spread.mean += value / static_cast<double>(outcome.ranks.size());
  }
  return spread;
}

double sum_of(const Outcome& outcome, const std::string& name) {
  return spread_of(outcome, name).mean * static_cast<double>(outcome.ranks.size());
}

// Names of the compute steps that any rank reports, the longest first.
std::vector<std::string> steps_of(const Outcome& outcome) {
  std::set<std::string> found;
  for (const base::Metrics& rank : outcome.ranks)
    for (const auto& [name, value] : rank.values())
      if (name.starts_with("step ")) found.insert(name);
  std::vector<std::string> names(found.begin(), found.end());
  std::stable_sort(names.begin(), names.end(),
                   [&](const auto& a, const auto& b) { return sum_of(outcome, a) > sum_of(outcome, b); });
  return names;
}

std::string rate_text(double flops) {
  return flops >= 1e12 ? fmt::format("{:.2f} TFLOP/s", flops / 1e12) : fmt::format("{:.1f} GFLOP/s", flops / 1e9);
}

std::string time_table(const Outcome& outcome) {
  std::string text = fmt::format("  {:<22}{:>9}{:>9}{:>9}{:>8}\n", "seconds over ranks", "min", "avg", "max", "share");
  const auto row = [&](const std::string& label, const std::string& name) {
    const Spread spread = spread_of(outcome, name);
    text += fmt::format("  {:<22}{:>9.2f}{:>9.2f}{:>9.2f}{:>7.1f}%\n", label, spread.least, spread.mean, spread.most,
                        outcome.score_seconds > 0 ? 100 * spread.mean / outcome.score_seconds : 0.0);
  };
  row("compute", "score");
  for (const std::string& step : steps_of(outcome)) row("  " + step.substr(5), step);
  row("  sum over shards", "reduce");
  row("wait for input", "wait input");
  if (outcome.layout.stages > 1) {
    row("wait for other stages", "wait before");
    row("wait for room there", "wait after");
  }
  row("communicate", "communicate");
  row("wait for commits", "wait commit");
  row("read (own thread)", "read");
  row("tokenize (own thread)", "tokenize");
  row("write (rank 0)", "write");
  return text;
}

// What each stage of the pipelines did with its time, over the replicas and shards.
std::string stage_table(const Outcome& outcome) {
  if (outcome.layout.stages == 1 || outcome.score_seconds <= 0) return "";
  std::string text;
  for (int stage = 0; stage < outcome.layout.stages; ++stage) {
    double computed = 0, before = 0, after = 0, ranks = 0;
    for (std::size_t rank = 0; rank < outcome.ranks.size(); ++rank) {
      if (outcome.places[rank].stage != stage) continue;
      computed += outcome.ranks[rank].value("score");
      before += outcome.ranks[rank].value("wait before") + outcome.ranks[rank].value("wait input");
      after += outcome.ranks[rank].value("wait after");
      ++ranks;
    }
    const double share = 100 / (ranks * outcome.score_seconds);
    text += fmt::format("  stage {}: computes {:.1f} %, waits {:.1f} % for batches or scores, {:.1f} % for room\n",
                        stage, share * computed, share * before, share * after);
  }
  return text;
}

std::string load_text(const Outcome& outcome) {
  const Spread seconds = spread_of(outcome, "load"), bytes = spread_of(outcome, "bytes read"),
               weights = spread_of(outcome, "weight bytes");
  constexpr double mib = 1 << 20;
  return fmt::format(
      "model loaded in {:.2f} s: {:.1f} MiB read in all, {:.1f} MiB by a rank at most; {:.1f} MiB of "
      "weights there\n",
      seconds.most, sum_of(outcome, "bytes read") / mib, bytes.most / mib, weights.most / mib);
}

std::string streaming_text(const Outcome& outcome) {
  const StreamingReport streaming = streaming_of(outcome);
  if (streaming.streamed == 0) return "";
  return fmt::format(
      "layers streamed from host memory: {} of {}, {:.2f} GiB a batch; the GPU waited {:.1f} % of the "
      "time for them, {:.1f} % were foreseen\n",
      streaming.streamed, streaming.layers, streaming.bytes / (1 << 30), 100 * streaming.waiting,
      100 * streaming.foreseen);
}

std::string advice(const Outcome& outcome) {
  std::string text;
  const auto note = [&](const std::string& words) { text += "  NOTE: " + words + "\n"; };
  if (outcome.score_seconds < 5) return text;
  const Spread input = spread_of(outcome, "wait input");
  const Spread score = spread_of(outcome, "score");
  const double waited = input.mean / outcome.score_seconds;
  if (waited > 0.1)
    note(fmt::format("{:.0f} % of the time went by waiting for input; import with --model to keep token ids",
                     100 * waited));
  if (score.mean > 0 && score.most / score.mean > 1.15)
    note(
        fmt::format("the busiest rank computed {:.0f} % longer than the average; smaller shards (--shard-documents) "
                    "even that out",
                    100 * (score.most / score.mean - 1)));
  const Spread commit = spread_of(outcome, "wait commit");
  const double committing = (commit.mean + spread_of(outcome, "communicate").mean) / outcome.score_seconds;
  if (committing > 0.1)
    note(
        fmt::format("{:.0f} % of the time went by waiting for commits; larger shards (--shard-documents) or a faster "
                    "disk for --output",
                    100 * committing));
  return text;
}

// Of each rank that has a device of its own, and the most.
std::string idle_text(const Outcome& outcome) {
  const std::optional<double> most = device_idle(outcome);
  if (!most) return "";
  std::string text = fmt::format("GPU idle between batches: {:.1f} % at most; by rank", 100 * *most);
  for (const base::Metrics& rank : outcome.ranks) text += fmt::format(" {:.1f}", 100 * device_idle(rank).value_or(0));
  return text + "\n";
}

std::string speed_text(const Outcome& outcome, const Shares& shares) {
  std::string text =
      fmt::format("this run: {:.2f} s on {} rank{} x {} {}thread{} ({}, {}, {}, {}), {} tokens/s\n", outcome.seconds,
                  outcome.ranks.size(), outcome.ranks.size() == 1 ? "" : "s", outcome.threads,
                  outcome.pinned ? "pinned " : "", outcome.threads == 1 ? "" : "s", outcome.layout.text(),
                  outcome.device, outcome.isa, outcome.dtype, count_text(shares.tokens_per_second));
  if (shares.peak > 0)
    text += fmt::format("{} of {} measured peak = {:.1f} %; matrix products {:.1f} % of the time\n",
                        rate_text(shares.flops_per_second), rate_text(shares.peak), 100 * shares.peak_fraction,
                        100 * shares.products_fraction);
  if (shares.rows_shared > 0)
    text += fmt::format("{} tokens computed, {} more shared by documents that begin alike\n",
                        count_text(shares.rows_computed), count_text(shares.rows_shared));
  text += fmt::format("peak memory of a rank: {:.1f} MiB\n", spread_of(outcome, "peak memory").most / (1 << 20));
  text += idle_text(outcome);
  text += gpu_text(gpu_totals(outcome));
  return text + load_text(outcome) + streaming_text(outcome) + time_table(outcome) + stage_table(outcome) +
         advice(outcome);
}

std::string int8_text(const Int8Error& error) {
  std::string text = fmt::format(
      "int8 against bf16, {} tokens of {} documents: mean |difference| {:.4f}, max {:.3f}; perplexity x {:.5f}",
      count_text(static_cast<double>(error.tokens)), error.documents, error.mean, error.greatest, error.ratio);
  if (error.interval) text += fmt::format(" (95 %: {:.5f} to {:.5f})", error.interval->first, error.interval->second);
  return text + "\n";
}

}  // namespace

StreamingReport streaming_of(const Outcome& outcome) {
  StreamingReport report;
  for (const base::Metrics& rank : outcome.ranks) {
    report.foreseen = std::max(report.foreseen, rank.value("foreseen waiting"));
    if (outcome.score_seconds > 0)
      report.waiting = std::max(report.waiting, rank.value("wait weights") / outcome.score_seconds);
    if (rank.value("streamed bytes") <= report.bytes) continue;
    report.bytes = rank.value("streamed bytes");
    report.streamed = static_cast<int>(rank.value("streamed layers"));
    report.layers = static_cast<int>(rank.value("layers"));
  }
  return report;
}

Shares shares_of(const Outcome& outcome) {
  Shares shares;
  if (outcome.score_seconds <= 0) return shares;
  shares.tokens_per_second = sum_of(outcome, "tokens scored") / outcome.score_seconds;
  shares.rows_computed = sum_of(outcome, "tokens fed");
  shares.rows_shared = sum_of(outcome, "tokens shared");
  shares.flops_per_second = sum_of(outcome, "flop") / outcome.score_seconds;
  shares.peak = sum_of(outcome, "peak");
  if (shares.peak > 0) shares.peak_fraction = shares.flops_per_second / shares.peak;
  shares.products_fraction = spread_of(outcome, "products").mean / outcome.score_seconds;
  return shares;
}

std::optional<double> device_idle(const base::Metrics& rank) {
  const double seconds = rank.value("device busy") + rank.value("device idle");
  if (seconds <= 0) return {};
  return rank.value("device idle") / seconds;
}

std::optional<double> device_idle(const Outcome& outcome) {
  std::optional<double> most;
  for (const base::Metrics& rank : outcome.ranks) most = std::max(most, device_idle(rank));
  return most;
}

std::string report_text(const Outcome& outcome) {
  const store::Totals& totals = outcome.totals;
  const Shares shares = shares_of(outcome);
  std::string text = fmt::format("{} documents:", count_text(static_cast<double>(totals.documents)));
  for (int status = 0; status < 5; ++status)
    if (totals.by_status[status] > 0)
      text += fmt::format(" {} {}", count_text(static_cast<double>(totals.by_status[status])),
                          store::name_of(static_cast<store::Status>(status)));
  const double tokens = static_cast<double>(totals.tokens);
  text += fmt::format("\n{} tokens scored, log-probability {:.2f}\n", count_text(tokens), totals.logprob);
  if (totals.tokens > 0)
    text +=
        fmt::format("perplexity: token {:.4f}, word {:.4f}, byte {:.4f}; bits per byte {:.4f}\n",
                    std::exp(-totals.logprob / tokens), std::exp(-totals.logprob / static_cast<double>(totals.words)),
                    std::exp(-totals.logprob / static_cast<double>(totals.bytes)),
                    -totals.logprob / static_cast<double>(totals.bytes) / std::log(2.0));
  if (outcome.int8_error) text += int8_text(*outcome.int8_error);
  return shares.tokens_per_second > 0 ? text + speed_text(outcome, shares) : text;
}

}  // namespace thresher::schedule
