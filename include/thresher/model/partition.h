// What part of a model one rank holds: the half layers of its pipeline stage, and its tensor shard of them. Pure.
//
// Tensor parallelism splits each half layer as Megatron-LM does (Shoeybi et al. 2019, arXiv 1909.08053): attention by
// heads, the MLP by its inner width, embedding and head by the vocabulary. The cuts are those of eight virtual shards,
// whatever the number of real ones: a rank holds 8 / shards neighbouring virtual shards and sums their products in one
// fixed binary tree, so that the bits do not depend on the number of ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "thresher/model/config.h"

namespace thresher::model {

constexpr int virtual_shards = 8;
constexpr std::int64_t typical_length = 512;  // tokens of a document, where only the stages' cuts depend on it

// [first, last).
struct Range {
  std::int64_t first = 0, last = 0;
  std::int64_t count() const { return last - first; }
  bool operator==(const Range&) const = default;
};

// Half layer 2l is layer l's attention, 2l + 1 its MLP; each begins with its norm. The first stage embeds, the last one
// scores.
struct Part {
  Range halves;
  int shard = 0, shards = 1;  // shards divides virtual_shards
  bool exact = true;          // sums follow the virtual shards

  bool operator==(const Part&) const = default;
};

// The whole model.
Part whole(const ModelConfig& config);

bool embeds(const Part& part);
bool scores(const Part& part, const ModelConfig& config);
// The virtual shards that a part holds.
Range held_shards(const Part& part);

// Boundaries of the virtual shards, virtual_shards + 1 each; uneven, and some may be empty: in query heads, in columns
// of the MLP's inner width (multiples of 16), and in ids of the vocabulary (multiples of the head's tile).
std::vector<std::int64_t> query_head_cuts(const ModelConfig& config);
std::vector<std::int64_t> inner_cuts(const ModelConfig& config);
std::vector<std::int64_t> vocabulary_cuts(const ModelConfig& config);

// A part's share of them. Key and value heads are those that its query heads read: with more shards than such heads
// several ranks hold the same ones.
Range query_heads(const Part& part, const ModelConfig& config);
Range kv_heads(const Part& part, const ModelConfig& config);
Range inner(const Part& part, const ModelConfig& config);
Range vocabulary(const Part& part, const ModelConfig& config);

// The boundaries inside a part's range, relative to its start: what its products are cut by. Just {0, count} unless
// exact.
std::vector<std::int64_t> cuts_inside(const Part& part, std::span<const std::int64_t> cuts);

// FLOP per token of each half layer, and of the head per scored token; `length` is the mean context's double, the
// tokens of a typical sequence.
std::vector<double> half_flops(const ModelConfig& config, std::int64_t length);

// Half layers of each stage, such that the slowest stage (the last one with the head) is as fast as can be; ties give
// earlier stages more. Every stage has at least one. Throws base::Error (usage) for more stages than half layers.
std::vector<Range> cut_stages(const ModelConfig& config, int stages, std::int64_t length = typical_length);

// Parameters that a rank of this part holds.
std::int64_t parameters(const Part& part, const ModelConfig& config);

}  // namespace thresher::model
