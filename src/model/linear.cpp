#include "model/linear.h"

namespace thresher::model {

using tensor::Arena;
using tensor::DType;
using tensor::Tensor;

void SummedLinear::add_to(const Pass& pass, const Tensor& x, const Tensor& residual) const {
  if (pass.sums.size() == 1) return pass.device.matmul(x, *weight, bias.view, true, residual);
  const std::int64_t mark = pass.arena.mark();
  const Tensor sum = pass.arena.take(DType::f32, pass.tokens, residual.columns);
  pass.device.matmul(x, *weight, {}, false, sum);
  pass.sums.add_up(sum);
  pass.device.add(sum, bias.view, residual);
  pass.arena.release(mark);
}

std::int64_t SummedLinear::scratch_bytes(std::int64_t width, int shards, std::int64_t tokens) {
  return shards == 1 ? 0 : Arena::bytes_of(DType::f32, tokens, width);
}

// Every id is one shard's, the others give zero bits: their union is the embedding, bit for bit.
void Embedding::apply(const Pass& pass, const Tensor& ids, const Tensor& residual) const {
  pass.device.embed(ids, table, first_id, residual);
  if (pass.sums.size() > 1) pass.sums.unite(residual);
}

}  // namespace thresher::model
