#include "device/cuda/runtime/tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

using Bits = std::optional<std::vector<std::uint8_t>>;

constexpr double never = std::numeric_limits<double>::infinity();

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
  for (std::size_t i = 0; i < candidates.size(); ++i)
    candidates[i].seconds = i == first || !watch.over() ? trial.seconds(candidates[i].choice) : never;
  const Operands& operands = trial.operands();
  TunedProduct product{.choice = candidates[first].choice,
                       .seconds = candidates[first].seconds,
                       .first_seconds = candidates[first].seconds,
                       .flop = 2 * static_cast<double>(operands.x.rows) * static_cast<double>(operands.w.rows) *
                               static_cast<double>(operands.w.columns)};
  product.choice.slabs = !reference;
  std::erase_if(candidates, [&](const Candidate& one) { return one.seconds >= product.first_seconds; });
  std::ranges::sort(candidates, {}, &Candidate::seconds);
  for (const Candidate& one : candidates) {
    if (!reference || watch.over()) break;
    const Bits bits = trial.steady_bits(one.choice);
    if (bits == reference) {
      product.choice = one.choice;
      product.seconds = one.seconds;
      break;
    }
    if (bits && product.left_out == 0) product.left_out = one.seconds;
  }
  return product;
}

}  // namespace thresher::device::cuda
