// The end of the model: norm, the streamed head over the ids that this shard holds, and the merge of all shards'.
#pragma once

#include "model/linear.h"
#include "thresher/model/transformer.h"

namespace thresher::model {

struct Head {
  Vector norm;
  std::unique_ptr<device::Weight> weight;
  std::int64_t first_id = 0;
  std::vector<std::int64_t> cuts;  // segments of the ids that are here, as device::ScoreQuestion wants them

  // Scores rows `rows` (i32) of the residual against `targets` (i32). Collective over pass.tensor; every shard gets all
  // of `out`.
  void score(const Pass& pass, const tensor::Tensor& residual, const tensor::Tensor& rows,
             const tensor::Tensor& targets, std::int32_t top_k, ScoredTokens& out) const;
  static std::int64_t scratch_bytes(const ModelConfig& config, tensor::DType dtype, const Capacity& capacity);
};

}  // namespace thresher::model
