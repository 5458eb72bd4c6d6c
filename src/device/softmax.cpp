#include "thresher/device/softmax.h"

#include <algorithm>
#include <cmath>

#include "thresher/base/check.h"

namespace thresher::device {
namespace {

constexpr double nats = 1 / static_cast<double>(log2_e);

bool is_empty(const SoftmaxPart& part) {
  return part.reference == -std::numeric_limits<float>::infinity() && !std::isnan(part.sum);
}

// Without the sign and payload of a NaN, which depend on the order of operands.
float one_nan(double value) {
  return std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(value);
}

}  // namespace

std::array<std::int64_t, vocabulary_segments + 1> vocabulary_cuts(std::int64_t vocabulary) {
  const std::int64_t tiles = (vocabulary + vocabulary_tile - 1) / vocabulary_tile;
  std::array<std::int64_t, vocabulary_segments + 1> cuts{};
  for (std::int64_t v = 0; v <= vocabulary_segments; ++v)
    cuts[static_cast<std::size_t>(v)] = std::min(v * tiles / vocabulary_segments * vocabulary_tile, vocabulary);
  return cuts;
}

SoftmaxPart merge(const SoftmaxPart& a, const SoftmaxPart& b) {
  if (is_empty(a)) return b;
  if (is_empty(b)) return a;
  const double highest = std::fmax(a.reference, b.reference);
  const double shift[] = {a.reference - highest, b.reference - highest};
  const double factor[] = {std::exp2(shift[0]), std::exp2(shift[1])};
  const double weighted[] = {factor[0] * (a.weighted + a.sum * shift[0]), factor[1] * (b.weighted + b.sum * shift[1])};
  return {static_cast<float>(highest), static_cast<float>(a.sum * factor[0] + b.sum * factor[1]),
          static_cast<float>(weighted[0] + weighted[1])};
}

SoftmaxPart merge(std::span<const SoftmaxPart> parts) {
  if (parts.empty() || parts.size() > 8 || (parts.size() & (parts.size() - 1)) != 0)
    base::fail(base::Exit::internal, "parts of a softmax are merged by 1, 2, 4 or 8");
  if (parts.size() == 1) return parts[0];
  const std::size_t half = parts.size() / 2;
  return merge(merge(parts.first(half)), merge(parts.last(half)));
}

float logprob_of(const SoftmaxPart& whole, float logit) {
  return one_nan(static_cast<double>(logit) -
                 (static_cast<double>(whole.reference) + std::log2(static_cast<double>(whole.sum))) * nats);
}

float entropy_of(const SoftmaxPart& whole) {
  const double sum = whole.sum;
  return one_nan((std::log2(sum) - whole.weighted / sum) * nats);
}

void merge(const TopList& into, const TopList& other) {
  const std::size_t top = into.ids.size();
  for (std::size_t taken = 0, at = 0; taken < other.ids.size() && other.ids[taken] >= 0; ++taken) {
    const float logit = other.logits[taken];
    const std::int32_t id = other.ids[taken];
    while (at < top && into.ids[at] >= 0 &&
           (into.logits[at] > logit || (into.logits[at] == logit && into.ids[at] < id)))
      ++at;
    if (at == top) return;
    std::copy_backward(into.ids.begin() + static_cast<std::ptrdiff_t>(at), into.ids.end() - 1, into.ids.end());
    std::copy_backward(into.logits.begin() + static_cast<std::ptrdiff_t>(at), into.logits.end() - 1, into.logits.end());
    into.ids[at] = id;
    into.logits[at] = logit;
  }
}

}  // namespace thresher::device
