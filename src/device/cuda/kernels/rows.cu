#include "device/cuda/kernels/rows.cuh"

#include "device/cuda/kernels/rope.cuh"

namespace thresher::device::cuda {
namespace {

constexpr unsigned row_threads = 256;
constexpr std::int64_t rope_warps = 8;

unsigned threads_of(const Tensor& out) {
  return threads_for((out.columns + 3) / 4, row_threads);
}

bool nothing_in(const Tensor& out) {
  return out.rows == 0 || out.columns == 0;
}

template <class From, class To>
void embed_as(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out, Stream stream) {
  launch("embed", embed_rows<From, To>, static_cast<unsigned>(out.rows), threads_of(out), 0, stream,
         ids.as<const std::int32_t>(), rows_of<const From>(table), first_id, table.rows, rows_of<To>(out), out.columns,
         in_fours(table) && in_fours(out));
}

template <int count>
void finish_pieces(const Pieces& pieces, const Tensor& bias, bool accumulate, const Tensor& out, Stream stream) {
  const bool whole = in_fours(pieces.partials) && in_fours(out) && (!bias || in_fours(bias)) &&
                     (count == 1 || pieces.piece_stride % 4 == 0);
  for_types(pieces.partials, out, [&]<class From, class To>(From*, To*) {
    launch("finish", finish_rows<count, To>, static_cast<unsigned>(out.rows), threads_of(out), 0, stream,
           rows_of<const float>(pieces.partials), pieces.piece_stride, bias.as<const float>(), accumulate,
           rows_of<To>(out), out.columns, whole);
  });
}

}  // namespace

void embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out, Stream stream) {
  if (nothing_in(out)) return;
  if (table.dtype == DType::bf16) {
    embed_as<Bf16, float>(ids, table, first_id, out, stream);
  } else {
    embed_as<float, float>(ids, table, first_id, out, stream);
  }
}

void gather(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out, Stream stream) {
  if (nothing_in(out)) return;
  if (table.dtype == DType::bf16) {
    embed_as<Bf16, Bf16>(ids, table, first_id, out, stream);
  } else {
    embed_as<float, float>(ids, table, first_id, out, stream);
  }
}

void norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out, Stream stream) {
  if (nothing_in(out)) return;
  const unsigned threads = threads_of(out);
  for_types(x, out, [&]<class From, class To>(From*, To*) {
    launch("norm", norm_rows<To>, static_cast<unsigned>(out.rows), threads, threads / warp_lanes * sizeof(float),
           stream, rows_of<const float>(x), rows.as<const std::int32_t>(), gain.as<const float>(), epsilon,
           rows_of<To>(out), out.columns, in_fours(x) && in_fours(gain) && in_fours(out));
  });
}

void rope(const Tensor& x, const RopeOptions& options, Stream stream) {
  if (nothing_in(x)) return;
  const std::int64_t heads = x.columns / options.head_size;
  const RopeTable table{options.rows.as<const std::int32_t>(), rows_of<const float>(options.cos),
                        rows_of<const float>(options.sin), options.gain.as<const float>(), options.epsilon};
  for_types(x, x, [&]<class From, class To>(From*, To*) {
    launch("rope", rope_heads<To>, static_cast<unsigned>(x.rows),
           threads_for(heads * warp_lanes, rope_warps * warp_lanes), 0, stream, rows_of<To>(x), table,
           options.head_size, heads);
  });
}

void gate(const Tensor& x, Activation activation, const Tensor& out, Stream stream) {
  if (nothing_in(out)) return;
  const bool whole = in_fours(x) && in_fours(out) && out.columns % 4 == 0;
  for_types(x, out, [&]<class From, class To>(From*, To*) {
    const auto with = [&](auto activate) {
      launch("gate", gate_rows<From, To, decltype(activate)>, static_cast<unsigned>(out.rows), threads_of(out), 0,
             stream, rows_of<const From>(x), rows_of<To>(out), out.columns, activate, whole);
    };
    switch (activation) {
      case Activation::silu:
        return with(Silu{});
      case Activation::gelu:
        return with(Gelu{});
      case Activation::gelu_tanh:
        return with(GeluTanh{});
    }
  });
}

void finish(const Pieces& pieces, const Tensor& bias, bool accumulate, const Tensor& out, Stream stream) {
  if (nothing_in(out)) return;
  switch (pieces.count) {
    case 1:
      return finish_pieces<1>(pieces, bias, accumulate, out, stream);
    case 2:
      return finish_pieces<2>(pieces, bias, accumulate, out, stream);
    case 4:
      return finish_pieces<4>(pieces, bias, accumulate, out, stream);
    case 8:
      return finish_pieces<8>(pieces, bias, accumulate, out, stream);
    default:
      base::fail(base::Exit::internal,
                 std::to_string(pieces.count) + " pieces of a product to sum; 1, 2, 4 or 8 are possible");
  }
}

void add(const Tensor& x, const Tensor& bias, const Tensor& out, Stream stream) {
  finish({x, 0, 1}, bias, true, out, stream);
}

void diagonal(const Tensor& products, const Tensor& ids, const IdRange& range, const Tensor& out, Stream stream) {
  if (products.rows == 0) return;
  launch("diagonal", diagonal_rows, blocks_for(products.rows, row_threads), row_threads, 0, stream,
         rows_of<const float>(products), products.columns, ids.as<const std::int32_t>(), range.first_id, range.count,
         out.as<float>(), products.rows);
}

}  // namespace thresher::device::cuda
