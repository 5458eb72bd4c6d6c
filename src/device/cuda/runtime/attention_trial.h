// Trying an engine of cuDNN's for attention on random numbers, in memory of its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "device/cuda/runtime/packing.h"

namespace thresher::device::cuda {

// What is tried: one batch of sequences whose bits are looked at, and batches to measure, each of so many sequences of
// one length that it has `timed_rows` rows.
struct TrialSizes {
  std::vector<std::int32_t> lengths = {1, 0, 7, 64, 129, 1100, 40, 300, 0, 513};
  std::vector<std::int64_t> timed_lengths = {512, 2048, 8192};
  std::int64_t timed_rows = 8192;
};

class AttentionTrial {
 public:
  // Throws base::Error (os) where the memory does not suffice.
  AttentionTrial(int gpu, cudaStream_t stream, Packing& packing, const AttentionKey& key, const TrialSizes& sizes);

  // Why the engine must not be used: a sequence's bits depend on its company, on the bucket or on the heads that are
  // there, or they are not what the own kernel finds. Nothing where all is well.
  std::optional<std::string> objection(const Engine& engine);

  // The sum of the batches' times, each the median of a few; without an engine, of the own kernel.
  double seconds(const Engine* engine);
  double flop() const;

 private:
  using Bits = std::vector<std::uint16_t>;

  Bits bits(const AttentionCall& call, const Engine* engine, std::int64_t least_sequences, std::int64_t least_rows);
  AttentionCall call(std::span<const std::int32_t> starts, std::int64_t heads, std::int64_t kv);
  // Some of the call's heads, from inside of a group on.
  AttentionCall part_of(const AttentionCall& whole) const;

  cudaStream_t stream_;
  Packing& packing_;
  AttentionKey key_;
  TrialSizes sizes_;
  Copies copies_;
  Buffer all_, out_, starts_;
  std::int64_t checked_rows_ = 0;
};

}  // namespace thresher::device::cuda
