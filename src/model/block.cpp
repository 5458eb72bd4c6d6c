#include "model/block.h"

#include <algorithm>

namespace thresher::model {

void HalfBlock::apply(const Pass& pass, const tensor::Tensor& residual) const {
  const std::int64_t mark = pass.arena.mark();
  const tensor::Tensor normed = pass.quantised ? pass.arena.take_quantised(pass.tokens, pass.whole)
                                               : pass.arena.take(pass.dtype, pass.tokens, residual.columns);
  pass.device.norm(residual, {}, norm.view, pass.norm_epsilon, normed);
  std::visit([&](const auto& half) { half.add_to(pass, normed, residual); }, body);
  pass.arena.release(mark);
}

std::vector<device::Weight*> HalfBlock::matrices() const {
  return std::visit([](const auto& half) { return half.matrices(); }, body);
}

std::int64_t HalfBlock::scratch_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype,
                                      std::int64_t tokens) {
  const std::int64_t normed = dtype == tensor::DType::i8 ? tensor::Arena::bytes_of_quantised(tokens, config.hidden, 1)
                                                         : tensor::Arena::bytes_of(dtype, tokens, config.hidden);
  return normed + std::max(Attention::scratch_bytes(config, part, dtype, tokens),
                           Mlp::scratch_bytes(config, part, dtype, tokens));
}

}  // namespace thresher::model
