#include "device/cuda/runtime/matmul.h"

#include <algorithm>

#include "device/cuda/kernels/kernels.h"

namespace thresher::device::cuda {
void Matmul::run(const Tensor& x, const CudaWeight& weight, const Tensor& bias, bool accumulate, const Tensor& out) {
  if (!at_once(x, weight, bias, accumulate, out)) in_slabs(x, weight, bias, accumulate, out);
}

bool Matmul::at_once(const Tensor& x, const CudaWeight& weight, const Tensor& bias, bool accumulate,
                     const Tensor& out) {
  if (weight.pieces().size() > 1 || weight.inputs() == 0 || (bias && accumulate) || !aligned(x) || !aligned(out))
    return false;
  const Epilogue epilogue = bias ? Epilogue::bias : accumulate ? Epilogue::accumulate : Epilogue::none;
  return products_.run({.x = x, .w = weight.whole(), .out = out, .bias = bias.as<const float>(), .epilogue = epilogue});
}

void Matmul::in_slabs(const Tensor& x, const CudaWeight& weight, const Tensor& bias, bool accumulate,
                      const Tensor& out) {
  const auto pieces = static_cast<std::int64_t>(weight.pieces().size());
  const std::int64_t stride = aligned_columns(out.columns, DType::f32), sums = pieces * stride * 4;
  // One piece's rows at a time.
  const std::int64_t copied = aligned_columns(x.columns, x.dtype) * tensor::size_of(x.dtype);
  std::int64_t slab = std::max<std::int64_t>(1, scratch_bytes / (sums + copied));
  if (slab >= 128) slab = slab / 128 * 128;
  slab = std::min(slab, x.rows);
  grow(scratch_, gpu_, slab * (sums + copied));
  auto* const partials = static_cast<float*>(scratch_.data());
  char* const copies = static_cast<char*>(scratch_.data()) + slab * sums;
  for (std::int64_t first = 0; first < x.rows; first += slab) {
    const std::int64_t rows = std::min(slab, x.rows - first);
    for (std::int64_t p = 0; p < pieces; ++p) {
      const CudaWeight::Piece& piece = weight.pieces()[static_cast<std::size_t>(p)];
      const Tensor sum{partials + p * slab * stride, DType::f32, rows, out.columns, stride};
      if (piece.matrix.columns == 0) {
        check(cudaMemsetAsync(sum.data, 0, static_cast<std::size_t>(rows * stride * 4), stream_), "clearing sums");
        continue;
      }
      const Tensor part = x.rows_from(first, rows).columns_from(piece.first, piece.matrix.columns);
      products_.run({.x = aligned_rows(part, copies, stream_), .w = piece.matrix, .out = sum});
    }
    finish({{partials, DType::f32, rows, out.columns, stride}, slab * stride, static_cast<int>(pieces)}, bias,
           accumulate, out.rows_from(first, rows), stream_);
  }
}

}  // namespace thresher::device::cuda
