#include "model/mlp.h"

#include "thresher/model/precision.h"

namespace thresher::model {

void Mlp::add_to(const Pass& pass, const tensor::Tensor& x, const tensor::Tensor& residual) const {
  const std::int64_t mark = pass.arena.mark();
  const std::int64_t width = down.weight->inputs();
  const tensor::Tensor gated = pass.quantised ? pass.arena.take_quantised(pass.tokens, down.cuts)
                                              : pass.arena.take(pass.dtype, pass.tokens, width);
  // The last, so that it takes no memory where the device does without it.
  const tensor::Tensor both = pass.arena.take(pass.dtype, pass.tokens, 2 * width);
  if (width > 0) pass.device.matmul_gate(x, *gate_up.weight, gate_up.bias.view, activation, both, gated);
  down.add_to(pass, gated, residual);
  pass.arena.release(mark);
}

std::int64_t Mlp::scratch_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype, std::int64_t tokens) {
  const std::int64_t width = inner(part, config).count();
  const std::int64_t gated = dtype == tensor::DType::i8
                                 ? tensor::Arena::bytes_of_quantised(tokens, width, held_shards(part).count())
                                 : tensor::Arena::bytes_of(dtype, tokens, width);
  return SummedLinear::scratch_bytes(config.hidden, part.shards, tokens) +
         tensor::Arena::bytes_of(dense(dtype), tokens, 2 * width) + gated;
}

}  // namespace thresher::model
