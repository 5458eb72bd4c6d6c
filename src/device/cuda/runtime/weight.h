// W as a GPU multiplies it: [outputs, inputs] by rows, cut into pieces of the inputs.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "device/cuda/runtime/memory.h"
#include "thresher/device/device.h"

namespace thresher::device::cuda {

// Every row of every piece begins at a multiple of 16 bytes: products find the same alignment wherever a piece lies.
constexpr std::int64_t row_alignment = 16;

inline std::int64_t aligned_columns(std::int64_t columns, DType dtype) {
  const std::int64_t step = row_alignment / tensor::size_of(dtype);
  return (columns + step - 1) / step * step;
}

// Whether all rows of a device tensor begin at multiples of 16 bytes.
bool aligned(const Tensor& x);
// x itself, or where its rows are not aligned a copy of them at `scratch`, which has room for `aligned_bytes`.
Tensor aligned_rows(const Tensor& x, void* scratch, cudaStream_t stream);
inline std::int64_t aligned_bytes(const Tensor& x) {
  return x.rows * aligned_columns(x.columns, x.dtype) * tensor::size_of(x.dtype);
}

class CudaWeight : public Weight {
 public:
  struct Piece {
    std::int64_t first = 0;  // input
    Tensor matrix;           // [outputs, inputs of the piece]
  };

  CudaWeight(std::int64_t outputs, std::int64_t inputs, DType dtype, Buffer memory, std::vector<Piece> pieces)
      : outputs_(outputs), inputs_(inputs), dtype_(dtype), memory_(std::move(memory)), pieces_(std::move(pieces)) {}

  std::int64_t outputs() const override { return outputs_; }
  std::int64_t inputs() const override { return inputs_; }
  DType dtype() const override { return dtype_; }
  std::int64_t bytes() const override { return memory_.bytes(); }
  const std::vector<Piece>& pieces() const { return pieces_; }
  // Of a weight in one piece.
  const Tensor& whole() const { return pieces_.front().matrix; }

 private:
  std::int64_t outputs_, inputs_;
  DType dtype_;
  Buffer memory_;
  std::vector<Piece> pieces_;
};

// See Device::pack. `dtype` is f32 or bf16.
std::unique_ptr<CudaWeight> pack(int gpu, Copies& copies, const Tensor& matrix, DType dtype,
                                 std::span<const std::int64_t> cuts);

}  // namespace thresher::device::cuda
