// A matrix product as cuBLASLt is told about it.
#pragma once

#include <vector>

#include "device/cuda/product_choice.h"
#include "device/cuda/runtime/memory.h"
#include "device/cuda/runtime/status.h"

namespace thresher::device::cuda {

// Of any algorithm.
constexpr std::int64_t workspace_bytes = std::int64_t{32} << 20;

// out = x w^T (+ bias, or + out): rows of x, w and out begin at multiples of 16 bytes; out f32, or bf16 where the
// epilogue does not accumulate; f32 sums. Nothing is 0.
struct Operands {
  Tensor x, w, out;
  const float* bias = nullptr;
  Epilogue epilogue = Epilogue::none;
};

ProductKey key_of(const Operands& operands);
DType dtype_of(Number number);

cublasLtMatmulAlgo_t algorithm_of(const Choice& choice);
// Needing all of the workspace.
Choice choice_of(const cublasLtMatmulAlgo_t& algorithm);

// A product of `rows` rows: A = w transposed, B = x, D = out by columns.
class Description {
 public:
  Description(const Operands& operands, std::int64_t rows);

  // Algorithms that sum in one piece, the most promising first by cuBLASLt's own reckoning; none where it knows none.
  std::vector<cublasLtMatmulAlgo_t> suggestions(cublasLtHandle_t blas) const;
  // Bytes of workspace that the algorithm needs; -1 where it does not serve this product.
  std::int64_t workspace(cublasLtHandle_t blas, const cublasLtMatmulAlgo_t& algorithm) const;
  cublasStatus_t run(cublasLtHandle_t blas, const Operands& operands, const Choice& choice, const Buffer& workspace,
                     cudaStream_t stream) const;

 private:
  LayoutHandle a_, b_, d_;
  ProductHandle product_;
};

// cuBLASLt's version, 130100 for 13.1.0.
std::size_t blas_version();

}  // namespace thresher::device::cuda
