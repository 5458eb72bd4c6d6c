#include "device/cuda/runtime/tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

using Bits = std::optional<std::vector<std::uint8_t>>;

struct Candidate {
  Choice choice;
  double seconds = 0;
};

class Watch {
 public:
  bool over() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count() > tuning_seconds;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

TunedProduct result_of(const Trial& trial, const Candidate& chosen, double first_seconds) {
  const Operands& operands = trial.operands();
  return {chosen.choice, chosen.seconds, first_seconds,
          2 * static_cast<double>(operands.x.rows) * static_cast<double>(operands.w.rows) *
              static_cast<double>(operands.w.columns)};
}

// Candidates by rising time, none of them slower than the reference, which is the last.
Candidate best_of(Trial& trial, std::span<const Candidate> candidates, const Bits& reference, const Watch& watch) {
  const Candidate* of_other_bits = nullptr;
  for (const Candidate& one : candidates) {
    const bool last = &one == &candidates.back();
    if (!last && watch.over()) continue;
    const Bits bits = last ? reference : trial.steady_bits(one.choice);
    if (!bits) continue;
    if (*bits != *reference) {
      if (!of_other_bits) of_other_bits = &one;
    } else {
      const bool worth = of_other_bits && of_other_bits->seconds < (1 - worth_other_bits) * one.seconds;
      return worth ? *of_other_bits : one;
    }
  }
  return candidates.back();
}

}  // namespace

TunedProduct fastest(Trial& trial, std::span<const cublasLtMatmulAlgo_t> suggestions) {
  const Watch watch;
  std::vector<Candidate> candidates;
  for (const auto& algorithm : suggestions)
    if (const auto choice = trial.serving(algorithm)) candidates.push_back({*choice, 0});
  if (candidates.empty())
    base::fail(base::Exit::unavailable,
               fmt::format("cuBLASLt {} has no algorithm without split sums for a weight of {} x {}", blas_version(),
                           trial.operands().w.rows, trial.operands().w.columns));
  Bits reference;
  std::size_t first = 0;
  for (std::size_t i = 0; i < candidates.size() && !reference; ++i)
    if ((reference = trial.steady_bits(candidates[i].choice))) first = i;
  candidates[first].seconds = trial.seconds(candidates[first].choice);
  const Candidate known = candidates[first];
  std::vector<Candidate> faster;
  for (std::size_t i = 0; i < candidates.size() && !watch.over(); ++i) {
    if (i == first) continue;
    candidates[i].seconds = trial.seconds(candidates[i].choice);
    if (candidates[i].seconds < known.seconds) faster.push_back(candidates[i]);
  }
  std::ranges::sort(faster, {}, &Candidate::seconds);
  if (!reference) {
    Candidate chosen = faster.empty() ? known : faster.front();
    chosen.choice.slabs = true;
    return result_of(trial, chosen, known.seconds);
  }
  faster.push_back(known);
  return result_of(trial, best_of(trial, faster, reference, watch), known.seconds);
}

}  // namespace thresher::device::cuda
