#include "model/linear.h"

#include <span>

#include "thresher/base/clock.h"

namespace thresher::model {

using tensor::Arena;
using tensor::DType;
using tensor::Tensor;

namespace {

// What the ranks do to a dense device tensor, in the device's own memory or by way of the host's. `reduce` gets its
// elements.
template <class T, class Reduce>
void reduce_on_host(const Pass& pass, const Tensor& values, const Reduce& reduce) {
  const auto count = static_cast<std::size_t>(values.elements());
  if (pass.device.host_memory()) {
    pass.device.finish();
    const base::Stopwatch watch;
    reduce(std::span(values.as<T>(), count));
    pass.reducing += watch.seconds();
    return;
  }
  const tensor::Buffer staged = tensor::host_buffer(static_cast<std::int64_t>(count * sizeof(T)));
  const Tensor host = tensor::matrix(staged.data(), values.dtype, values.rows, values.columns);
  pass.device.download(values, host);
  const base::Stopwatch watch;
  reduce(std::span(host.as<T>(), count));
  pass.reducing += watch.seconds();
  pass.device.upload(host, values);
}

}  // namespace

void SummedLinear::add_to(const Pass& pass, const Tensor& x, const Tensor& residual) const {
  if (pass.tensor.size() == 1) return pass.device.matmul(x, *weight, bias.view, true, residual);
  const std::int64_t mark = pass.arena.mark();
  const Tensor sum = pass.arena.take(DType::f32, pass.tokens, residual.columns);
  pass.device.matmul(x, *weight, {}, false, sum);
  reduce_on_host<float>(pass, sum, [&](std::span<float> values) { pass.tensor.all_reduce(values); });
  pass.device.add(sum, bias.view, residual);
  pass.arena.release(mark);
}

std::int64_t SummedLinear::scratch_bytes(std::int64_t width, int shards, std::int64_t tokens) {
  return shards == 1 ? 0 : Arena::bytes_of(DType::f32, tokens, width);
}

// Every id is one shard's, the others give zero bits: their union is the embedding, bit for bit.
void Embedding::apply(const Pass& pass, const Tensor& ids, const Tensor& residual) const {
  pass.device.embed(ids, table, first_id, residual);
  if (pass.tensor.size() == 1) return;
  reduce_on_host<std::uint32_t>(pass, residual,
                                [&](std::span<std::uint32_t> bits) { pass.tensor.all_reduce_bits(bits); });
}

}  // namespace thresher::model
