// The gated feed-forward layer of one block: down(activation(gate(x)) * up(x)) (Shazeer 2020, arXiv 2002.05202), of the
// columns that this shard holds.
#pragma once

#include <vector>

#include "model/linear.h"
#include "thresher/model/config.h"
#include "thresher/model/partition.h"

namespace thresher::model {

struct Mlp {
  Linear gate_up;  // rows: gate, up
  SummedLinear down;
  device::Activation activation = device::Activation::silu;

  std::vector<device::Weight*> matrices() const { return {gate_up.weight.get(), down.weight.get()}; }
  // residual += mlp(x), x [tokens, hidden]. Collective over pass.sums.
  void add_to(const Pass& pass, const tensor::Tensor& x, const tensor::Tensor& residual) const;
  static std::int64_t scratch_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype,
                                    std::int64_t tokens);
};

}  // namespace thresher::model
