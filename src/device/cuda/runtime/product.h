// Matrix products by cuBLASLt whose bits depend on the row and the weight alone: no split sums, one algorithm per
// weight's shape for every number of rows.
//
// The algorithm is the first of cuBLASLt's own list for `tuned_rows` rows that sums in one piece, serves fewer rows
// too, and gives the same bits for a row in products of several sizes; that is tried on the spot. Nothing is timed:
// equal GPUs and versions of cuBLASLt choose alike, on every rank and after every restart. Where no algorithm passes,
// products are of `slab_rows` rows each, the last one filled up.
#pragma once

#include <memory>
#include <set>

#include "device/cuda/algorithms.h"
#include "device/cuda/runtime/memory.h"

namespace thresher::device::cuda {

// Rows that algorithms are chosen for, whatever a batch has: bits must not depend on the batch.
constexpr std::int64_t tuned_rows = 8192;

// out = x w^T (+ bias, or + out): rows of x, w and out begin at multiples of 16 bytes; out f32, or bf16 where the
// epilogue does not accumulate; f32 sums. Nothing is 0.
struct Operands {
  Tensor x, w, out;
  const float* bias = nullptr;
  Epilogue epilogue = Epilogue::none;
};

class Products {
 public:
  Products(int gpu, cudaStream_t stream, std::string machine);
  ~Products();

  // False where cuBLASLt has no algorithm for such an epilogue: then nothing is done, and never will be for this shape.
  bool run(const Operands& operands);
  Algorithms& algorithms() { return algorithms_; }

  // FLOP/s of a large product.
  double measure_peak(DType dtype, double seconds);

 private:
  class Description;
  const Choice* choice(const Operands& operands);
  bool choose(const Operands& operands, const ProductKey& key);
  // Whether a row has the same bits in products of several sizes.
  bool steady(const Operands& operands, const Choice& choice);
  void multiply(const Operands& operands, const Choice& choice);
  void multiply_slabs(const Operands& operands, const Choice& choice);

  int gpu_;
  cudaStream_t stream_;
  BlasHandle blas_;
  Buffer workspace_, slab_x_, slab_out_;
  Algorithms algorithms_;
  std::set<ProductKey> checked_, refused_;
};

// cuBLASLt's version, 130100 for 13.1.0.
std::size_t blas_version();

}  // namespace thresher::device::cuda
