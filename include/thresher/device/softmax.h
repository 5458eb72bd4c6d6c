// The log-softmax of a row whose logits were never together: parts of it, by tiles, segments and ranks, are merged
// here, on the host. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>

namespace thresher::device {

// Columns of a tile of the streamed head, and the segments that a vocabulary is cut into. Both decide the result's
// bits.
constexpr std::int64_t vocabulary_tile = 1024;
constexpr std::int64_t vocabulary_segments = 8;

// The segments' boundaries in ids: boundary v is floor(v * tiles / 8) tiles, the last one the vocabulary itself. Small
// vocabularies have empty segments. Of `n` ranks (1, 2, 4 or 8), rank i holds the i-th run of 8 / n segments.
std::array<std::int64_t, vocabulary_segments + 1> vocabulary_cuts(std::int64_t vocabulary);

constexpr float log2_e = 0x1.715476p+0f;

// Some of a row's logits, in powers of two: t = logit * log2_e - reference. No logits at all, or only -inf: the
// default.
struct SoftmaxPart {
  float reference = -std::numeric_limits<float>::infinity();  // the greatest logit * log2_e
  float sum = 0;                                              // of 2^t; NaN where a logit is NaN or +inf
  float weighted = 0;                                         // of 2^t * t; only entropy needs it
};

// Of both parts' logits. A part without logits leaves the other's bits as they are. Neither associative nor
// commutative to the last bit: whoever merges more than two uses the tree of the second one.
SoftmaxPart merge(const SoftmaxPart& a, const SoftmaxPart& b);
// 1, 2, 4 or 8 parts, neighbours first: ((0+1)+(2+3))+((4+5)+(6+7)).
SoftmaxPart merge(std::span<const SoftmaxPart> parts);

// Natural logarithms, from the part that holds all of a row's logits. NaN (of one pattern) where a logit is NaN or
// +inf, or all are -inf.
float logprob_of(const SoftmaxPart& whole, float logit);
float entropy_of(const SoftmaxPart& whole);

// K ids by falling logit, ties by rising id; places that are not filled hold id -1 and logit -inf.
struct TopList {
  std::span<std::int32_t> ids;
  std::span<float> logits;
};

// The K best of both lists, which have no id in common, in `into`. Associative and commutative.
void merge(const TopList& into, const TopList& other);

}  // namespace thresher::device
