#include "device/cuda/runtime/packing.h"

#include <algorithm>

#include "device/cuda/kernels/kernels.h"

namespace thresher::device::cuda {
namespace {

// What is rounded at a time: enough for all of a GPU's processors, and 100 MB with 32 + 2 * 8 heads of 128.
constexpr std::int64_t rounded_rows = 8192;

bool adjacent(const Tensor& left, const Tensor& right) {
  return left.stride == right.stride && left.columns_from(left.columns, 0).data == right.data;
}

}  // namespace

AttentionCall Packing::rounded(const AttentionCall& call) {
  AttentionCall to = call;
  const std::int64_t width = call.q.columns + 2 * call.k.columns;
  grow(rounded_, gpu_, call.q.rows * width * tensor::size_of(DType::bf16));
  const Tensor all = tensor::matrix(rounded_.data(), DType::bf16, call.q.rows, width);
  to.q = all.columns_from(0, call.q.columns);
  to.k = all.columns_from(call.q.columns, call.k.columns);
  to.v = all.columns_from(call.q.columns + call.k.columns, call.v.columns);
  const auto round = [&](const Tensor& from, const Tensor& into) { finish({from, 0, 1}, {}, false, into, stream_); };
  if (adjacent(call.q, call.k) && adjacent(call.k, call.v)) {
    Tensor from = call.q;
    from.columns = width;
    round(from, all);
  } else {
    round(call.q, to.q);
    round(call.k, to.k);
    round(call.v, to.v);
  }
  return to;
}

void Packing::run(const AttentionCall& call, const Engine& engine, std::int64_t least_sequences,
                  std::int64_t least_rows) {
  const std::int64_t size = call.options.head_size;
  for (const PackedChunk& chunk : chunks_of(call.sequences, call.q.rows, rounded_rows)) {
    AttentionCall part = call;
    for (Tensor* rows : {&part.q, &part.k, &part.v, &part.out}) *rows = rows->rows_from(chunk.first_row, chunk.rows);
    if (call.q.dtype == DType::f32) part = rounded(part);
    for (const HeadRun& heads : runs_of(call.options)) {
      const auto cut = [&](const Tensor& x, std::int64_t first, std::int64_t count) {
        return x.columns_from(first * size, count * size);
      };
      attention_.run({.q = cut(part.q, heads.first_query, heads.query_heads),
                      .k = cut(part.k, heads.first_kv, heads.kv_heads),
                      .v = cut(part.v, heads.first_kv, heads.kv_heads),
                      .out = cut(part.out, heads.first_query, heads.query_heads),
                      .starts = call.sequences.starts.columns_from(chunk.first, chunk.sequences + 1),
                      .sequences = chunk.sequences,
                      .first_row = chunk.first_row,
                      .scale = call.options.scale,
                      .shape = {.query_heads = heads.query_heads,
                                .kv_heads = heads.kv_heads,
                                .head_size = size,
                                .strides = {part.q.stride, part.k.stride, part.v.stride, part.out.stride},
                                .sequences = sequences_bucket(std::max(chunk.sequences, least_sequences)),
                                .rows = rows_bucket(std::max(chunk.longest, least_rows))}},
                     engine);
    }
  }
}

}  // namespace thresher::device::cuda
