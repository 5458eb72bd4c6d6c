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

// Weights lie behind each other in a slot, each as in an allocation of its own.
constexpr std::int64_t slot_aligned(std::int64_t bytes) {
  return (bytes + 255) / 256 * 256;
}

// Whether all rows of a device tensor begin at multiples of 16 bytes.
bool aligned(const Tensor& x);
// x itself, or where its rows are not aligned a copy of them at `scratch`, which has room for `aligned_bytes`.
Tensor aligned_rows(const Tensor& x, void* scratch, cudaStream_t stream);
inline std::int64_t aligned_bytes(const Tensor& x) {
  return x.rows * aligned_columns(x.columns, x.dtype) * tensor::size_of(x.dtype);
}

// The stay of a group of weights in a slot.
struct Visit {
  int slot = -1;
  std::int64_t number = 0;  // of the slot's visits
};

class CudaWeight : public Weight {
 public:
  struct Piece {
    std::int64_t first = 0;  // input
    Tensor matrix;           // [outputs, inputs of the piece]
  };

  // The pieces are views of `memory`.
  CudaWeight(const Tensor& matrix, DType dtype, Residence residence, Buffer memory, std::vector<Piece> pieces)
      : outputs_(matrix.rows),
        inputs_(matrix.columns),
        dtype_(dtype),
        residence_(residence),
        memory_(std::move(memory)),
        pieces_(std::move(pieces)),
        place_(memory_.data()) {}

  std::int64_t outputs() const override { return outputs_; }
  std::int64_t inputs() const override { return inputs_; }
  DType dtype() const override { return dtype_; }
  std::int64_t bytes() const override { return memory_.bytes(); }
  Residence residence() const { return residence_; }
  // Those of a weight that lives on the host are on the GPU while its visit lasts: see Slots.
  const std::vector<Piece>& pieces() const { return pieces_; }
  // Of a weight in one piece.
  const Tensor& whole() const { return pieces_.front().matrix; }

  // All of it as it lies in memory, where it lives.
  const void* image() const { return memory_.data(); }
  // What the pieces are views of from now on: a copy of the image.
  void place(void* copy, const Visit& visit);
  const Visit& visit() const { return visit_; }

 private:
  std::int64_t outputs_, inputs_;
  DType dtype_;
  Residence residence_;
  Buffer memory_;
  std::vector<Piece> pieces_;
  void* place_ = nullptr;
  Visit visit_;
};

// See Device::pack. `dtype` is f32 or bf16.
std::unique_ptr<CudaWeight> pack(int gpu, Copies& copies, const Tensor& matrix, DType dtype,
                                 std::span<const std::int64_t> cuts, Residence residence);

}  // namespace thresher::device::cuda
