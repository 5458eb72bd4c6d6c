// Matrix products by cuBLASLt whose bits depend on the row and the weight alone: no split sums, one algorithm per
// weight's shape for every number of rows.
//
// An algorithm has to sum in one piece, serve any number of rows, and give the same bits for a row in products of
// several sizes; that is tried on the spot. Where none passes, products are of `slab_rows` rows each, the last one
// filled up. The first of cuBLASLt's own list that passes is taken, or by `tune` the fastest for `tuned_rows` rows
// that has the same bits as that one.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "device/cuda/algorithms.h"
#include "device/cuda/runtime/description.h"
#include "device/cuda/runtime/tuning.h"

namespace thresher::device::cuda {

// Rows that algorithms are chosen for, whatever a batch has: bits must not depend on the batch.
constexpr std::int64_t tuned_rows = 8192;

class Products {
 public:
  // `algorithms` must outlive this.
  Products(int gpu, cudaStream_t stream, Algorithms& algorithms);
  ~Products();

  // False where cuBLASLt has no algorithm for such an epilogue: then nothing is done, and never will be for this shape.
  bool run(const Operands& operands);

  void on_unknown(Unknown what);
  // Since the last `on_unknown`.
  const std::set<ProductKey>& noted() const { return noted_; }
  // Chooses an algorithm by measurement. Waits for the GPU.
  TunedProduct tune(const ProductKey& key);

  // FLOP/s of a large product.
  double measure_peak(DType dtype, double seconds);

 private:
  const Choice* choice(const Operands& operands);
  Choice checked(const Operands& operands, const std::string& given) const;
  std::optional<Choice> first(const Operands& operands) const;
  std::optional<Choice> first_steady(const ProductKey& key);
  TunedProduct tuned(const ProductKey& key);
  void multiply(const Operands& operands, const Choice& choice);
  void multiply_slabs(const Operands& operands, const Choice& choice);

  int gpu_;
  cudaStream_t stream_;
  Algorithms& algorithms_;
  BlasHandle blas_;
  Buffer workspace_, slab_x_, slab_out_;
  std::map<ProductKey, Choice> choices_;  // in use, checked
  std::set<ProductKey> refused_, noted_;
  Unknown unknown_ = Unknown::choose;
};

}  // namespace thresher::device::cuda
