#include "device/cuda/runtime/weight.h"

#include <fmt/format.h>

#include "thresher/base/check.h"

namespace thresher::device::cuda {

bool aligned(const Tensor& x) {
  return reinterpret_cast<std::uintptr_t>(x.data) % row_alignment == 0 &&
         x.stride * tensor::size_of(x.dtype) % row_alignment == 0;
}

Tensor aligned_rows(const Tensor& x, void* scratch, cudaStream_t stream) {
  if (aligned(x)) return x;
  const auto size = static_cast<std::size_t>(tensor::size_of(x.dtype));
  const Tensor copy{scratch, x.dtype, x.rows, x.columns, aligned_columns(x.columns, x.dtype)};
  check(cudaMemcpy2DAsync(copy.data, static_cast<std::size_t>(copy.stride) * size, x.data,
                          static_cast<std::size_t>(x.stride) * size, static_cast<std::size_t>(x.columns) * size,
                          static_cast<std::size_t>(x.rows), cudaMemcpyDeviceToDevice, stream),
        "copying rows of a product");
  return copy;
}

std::unique_ptr<CudaWeight> pack(int gpu, Copies& copies, const Tensor& matrix, DType dtype,
                                 std::span<const std::int64_t> cuts, Residence residence) {
  if (dtype != DType::f32 && dtype != DType::bf16)
    base::fail(base::Exit::internal, fmt::format("weights are packed as f32 or bf16, not {}", tensor::name_of(dtype)));
  const std::int64_t whole[] = {0, matrix.columns};
  if (cuts.empty()) cuts = whole;
  const std::size_t count = cuts.size() - 1;
  if (count < 1 || count > 8 || (count & (count - 1)) != 0 || cuts.front() != 0 || cuts.back() != matrix.columns)
    base::fail(base::Exit::internal, fmt::format("{} pieces that do not cover {} inputs", count, matrix.columns));
  std::int64_t stride = 0;
  for (std::size_t i = 0; i < count; ++i) stride += aligned_columns(cuts[i + 1] - cuts[i], dtype);
  const std::int64_t bytes = matrix.rows * stride * tensor::size_of(dtype);
  const bool here = residence == Residence::host;
  Buffer memory = here ? pinned_buffer(gpu, slot_aligned(bytes)) : device_buffer(gpu, bytes);
  std::vector<CudaWeight::Piece> pieces;
  std::int64_t column = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t inputs = cuts[i + 1] - cuts[i];
    if (inputs < 0) base::fail(base::Exit::internal, "pieces of a weight that do not ascend");
    const Tensor all{memory.data(), dtype, matrix.rows, stride, stride};
    pieces.push_back({cuts[i], all.columns_from(column, inputs)});
    const Tensor from = matrix.columns_from(cuts[i], inputs);
    if (here) {
      convert(from, pieces.back().matrix);
    } else {
      copies.upload_as(from, pieces.back().matrix);
    }
    column += aligned_columns(inputs, dtype);
  }
  return std::make_unique<CudaWeight>(matrix, dtype, residence, std::move(memory), std::move(pieces));
}

void CudaWeight::place(void* copy, const Visit& visit) {
  for (Piece& piece : pieces_)
    piece.matrix.data =
        static_cast<char*>(copy) + (static_cast<const char*>(piece.matrix.data) - static_cast<const char*>(place_));
  place_ = copy;
  visit_ = visit;
}

}  // namespace thresher::device::cuda
