// Self-attention of one block, of the heads that this shard holds: one product for queries, keys and values. They stay
// in f32 in a bf16 model too: rounding queries and keys moves the scores more than all other roundings together, and
// attention is a few percent of the time. A device may round values.
#pragma once

#include <vector>

#include "model/linear.h"
#include "thresher/model/config.h"
#include "thresher/model/partition.h"

namespace thresher::model {

struct Attention {
  Linear qkv;  // rows: query heads, key heads, value heads
  SummedLinear output;
  Vector query_gain, key_gain;  // QK-norm
  device::AttendOptions options;

  std::vector<device::Weight*> matrices() const { return {qkv.weight.get(), output.weight.get()}; }
  // residual += attention(x), x [tokens, hidden]. Collective over pass.sums.
  void add_to(const Pass& pass, const tensor::Tensor& x, const tensor::Tensor& residual) const;
  static std::int64_t scratch_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype,
                                    std::int64_t tokens);
};

}  // namespace thresher::model
