#include "model/attention.h"

#include "thresher/model/precision.h"

namespace thresher::model {

void Attention::add_to(const Pass& pass, const tensor::Tensor& x, const tensor::Tensor& residual) const {
  const std::int64_t mark = pass.arena.mark();
  const std::int64_t queries = options.query_heads * options.head_size, keys = options.kv_heads * options.head_size;
  const tensor::Tensor all = pass.arena.take(tensor::DType::f32, pass.tokens, queries + 2 * keys);
  const tensor::Tensor attended = pass.arena.take(pass.dtype, pass.tokens, queries);
  qkv.apply(pass.device, x, all);

  if (queries > 0) {
    const tensor::Tensor q = all.columns_from(0, queries), k = all.columns_from(queries, keys);
    device::RopeOptions rope = pass.rope;
    rope.gain = query_gain.view;
    pass.device.rope(q, rope);
    rope.gain = key_gain.view;
    pass.device.rope(k, rope);

    pass.device.attend(q, k, all.columns_from(queries + keys, keys), pass.sequences, options, attended);
  }
  output.add_to(pass, attended, residual);
  pass.arena.release(mark);
}

std::int64_t Attention::scratch_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype,
                                      std::int64_t tokens) {
  const std::int64_t queries = query_heads(part, config).count() * config.head_size,
                     keys = kv_heads(part, config).count() * config.head_size;
  return SummedLinear::scratch_bytes(config.hidden, part.shards, tokens) +
         tensor::Arena::bytes_of(tensor::DType::f32, tokens, queries + 2 * keys) +
         tensor::Arena::bytes_of(dense(dtype), tokens, queries);
}

}  // namespace thresher::model
