// Products of quantised activations with weights in 8 bits, by our own kernels: exact sums in 32 bits need instructions
// that do not saturate, which oneDNN leaves out where the processor lacks VNNI, and scales of rows, which it does not
// take at all.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "device/cpu/crew.h"
#include "device/cpu/kernels.h"
#include "thresher/device/device.h"

namespace thresher::device::cpu {

// Each piece of each output has a scale: its greatest magnitude becomes 127.
class Int8Weight : public Weight {
 public:
  Int8Weight(const Tensor& matrix, std::span<const std::int64_t> cuts, Crew& crew);

  std::int64_t outputs() const override { return outputs_; }
  std::int64_t inputs() const override { return cuts_.back(); }
  DType dtype() const override { return DType::i8; }
  std::int64_t bytes() const override { return memory_.bytes(); }
  const std::vector<std::int64_t>& cuts() const { return cuts_; }
  const std::vector<Int8Piece>& pieces() const { return pieces_; }

 private:
  std::int64_t outputs_;
  std::vector<std::int64_t> cuts_;
  Buffer memory_;
  std::vector<Int8Piece> pieces_;
};

// Where rows of a tensor of quantised activations lie.
QuantisedRows quantised_rows(const Tensor& x);
// Columns from `first`, a multiple of slab_columns, of a weight of one piece.
Int8Piece columns_from(const Int8Weight& weight, std::int64_t first);

class Int8Products {
 public:
  Int8Products(const Kernels& kernels, Crew& crew) : kernels_(kernels), crew_(crew) {}

  struct End {
    const Tensor& bias;
    bool accumulate;
    const Tensor& out;
  };
  // x in i8 with the weight's cuts, or in f32 or bf16, which are quantised first.
  void run(const Tensor& x, const Int8Weight& weight, const End& end);

 private:
  const Kernels& kernels_;
  Crew& crew_;
  Buffer numbers_, pieces_;  // of x, where it comes as it is
};

}  // namespace thresher::device::cpu
