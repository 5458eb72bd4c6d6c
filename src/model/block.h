// One layer of a pre-norm decoder; every family's is this one.
#pragma once

#include "model/attention.h"
#include "model/mlp.h"

namespace thresher::model {

struct Block {
  Vector attention_norm, mlp_norm;
  Attention attention;
  Mlp mlp;

  // residual [tokens, hidden], f32, in place.
  void apply(const Pass& pass, const tensor::Tensor& residual) const;
  static std::int64_t scratch_bytes(const ModelConfig& config, tensor::DType dtype, std::int64_t tokens);
};

}  // namespace thresher::model
