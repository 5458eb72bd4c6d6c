// A packed batch, sequence by sequence, and where each asked token's score will stand.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "thresher/device/row_runs.h"
#include "thresher/engine/families.h"
#include "thresher/model/transformer.h"

namespace thresher::engine {

class BatchBuilder {
 public:
  void clear();
  // A sequence whose first `inherited` tokens are those of the sequence before. The numbers of `targets` stand in its
  // rows from `first_row` on.
  void add(const FedTokens& fed, std::int64_t inherited, std::int64_t first_row,
           std::span<const text::TokenId> targets);
  const model::PackedBatch& batch() const { return batch_; }
  // By asked token, in the order of the sequences: which of the batch's scored rows is its. Empty: they are the same,
  // one after another.
  std::vector<std::int32_t> take_entries() { return std::move(entries_); }
  // Pairs of a query and a key that full attention computes.
  double visible_keys() const { return visible_keys_; }
  std::int64_t asked() const { return asked_; }
  std::int64_t inherited() const { return inherited_; }  // rows that need not be computed

 private:
  void begin_sharing();
  void ask(std::int32_t row, std::int32_t target);

  model::PackedBatch batch_;
  device::RowChain chain_;
  std::vector<std::int32_t> first_entry_;  // by row, -1: nothing is asked of it; only where sequences share
  std::map<std::pair<std::int32_t, std::int32_t>, std::int32_t> more_entries_;  // by row and target: after the first
  std::vector<std::int32_t> entries_;
  double visible_keys_ = 0;
  std::int64_t asked_ = 0, inherited_ = 0;
};

}  // namespace thresher::engine
