// Half a layer of a pre-norm decoder, attention or MLP; every family's is this one. A pipeline stage is a run of them.
#pragma once

#include <variant>
#include <vector>

#include "model/attention.h"
#include "model/mlp.h"

namespace thresher::model {

struct HalfBlock {
  Vector norm;
  std::variant<Attention, Mlp> body;

  std::vector<device::Weight*> matrices() const;
  // residual [tokens, hidden], f32, in place. Collective over pass.sums.
  void apply(const Pass& pass, const tensor::Tensor& residual) const;
  static std::int64_t scratch_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype,
                                    std::int64_t tokens);
};

}  // namespace thresher::model
