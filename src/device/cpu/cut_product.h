// Products whose inputs are cut into pieces, so that ranks that hold some of the pieces each reach the same bits as one
// that holds them all: every piece's product is rounded to f32, and those are summed in one fixed tree.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "device/cpu/crew.h"
#include "device/cpu/kernels.h"
#include "device/cpu/product.h"

namespace thresher::device::cpu {

// Boundaries of 1, 2, 4 or 8 pieces, or throws base::Error (internal).
void check_cuts(std::span<const std::int64_t> cuts, std::int64_t inputs);

// Also what stands for a matrix without any rows or columns.
class CutWeight : public Weight {
 public:
  // One of the two; neither where there is nothing to multiply.
  struct Piece {
    std::int64_t first = 0;  // input
    std::int64_t inputs = 0;
    Buffer slabs;                          // for our own kernel, see SlabArgs
    std::unique_ptr<PackedWeight> packed;  // for oneDNN
  };

  CutWeight(std::int64_t outputs, std::int64_t inputs, DType dtype, std::vector<Piece> pieces);

  std::int64_t outputs() const override { return outputs_; }
  std::int64_t inputs() const override { return inputs_; }
  DType dtype() const override { return dtype_; }
  std::int64_t bytes() const override;
  const std::vector<Piece>& pieces() const { return pieces_; }
  bool all_slabs() const { return all_slabs_; }
  std::int64_t longest() const { return longest_; }

 private:
  std::int64_t outputs_, inputs_;
  DType dtype_;
  std::vector<Piece> pieces_;
  bool all_slabs_;
  std::int64_t longest_ = 0;  // inputs of a piece
};

// Where a product goes: out = (sum + bias) (+ out).
struct ProductEnd {
  const Tensor& bias;
  bool accumulate;
  const Tensor& out;
};

class CutProducts {
 public:
  CutProducts(const Kernels& kernels, Products& products, Crew& crew)
      : kernels_(kernels), products_(products), crew_(crew) {}

  // No cuts are one piece.
  std::unique_ptr<CutWeight> pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts);
  void run(const Tensor& x, const CutWeight& weight, const ProductEnd& end);

 private:
  class Task;
  // Whether oneDNN multiplies a piece.
  bool by_library(std::int64_t inputs, DType dtype) const;
  void plan(std::int64_t rows, const CutWeight& weight, std::int64_t block);

  const Kernels& kernels_;
  Products& products_;
  Crew& crew_;
  // By piece, then full or last row block, full or last tile.
  std::vector<Product*> plan_;
  Buffer scratch_;  // one slice per thread: a row block of x, piece by piece, then partial sums of one tile
};

}  // namespace thresher::device::cpu
