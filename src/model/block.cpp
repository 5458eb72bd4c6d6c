#include "model/block.h"

#include <algorithm>

namespace thresher::model {

void Block::apply(const Pass& pass, const tensor::Tensor& residual) const {
  const std::int64_t mark = pass.arena.mark();
  const tensor::Tensor normed = pass.arena.take(pass.dtype, pass.tokens, residual.columns);
  pass.device.norm(residual, {}, attention_norm.view, pass.norm_epsilon, normed);
  attention.add_to(pass, normed, residual);
  pass.device.norm(residual, {}, mlp_norm.view, pass.norm_epsilon, normed);
  mlp.add_to(pass, normed, residual);
  pass.arena.release(mark);
}

std::int64_t Block::scratch_bytes(const ModelConfig& config, tensor::DType dtype, std::int64_t tokens) {
  return tensor::Arena::bytes_of(dtype, tokens, config.hidden) +
         std::max(Attention::scratch_bytes(config, dtype, tokens), Mlp::scratch_bytes(config, dtype, tokens));
}

}  // namespace thresher::model
