// Trying algorithms for a product on random numbers, in memory of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "device/cuda/runtime/description.h"

namespace thresher::device::cuda {

// Rows of the largest product whose bits are looked at one by one.
constexpr std::int64_t steady_rows = 640;

class Trial {
 public:
  // Products of at most `rows` rows, at least steady_rows. Throws base::Error (os) where the memory does not suffice.
  // `workspace` holds workspace_bytes and must outlive this.
  Trial(int gpu, cudaStream_t stream, cublasLtHandle_t blas, const Buffer& workspace, const ProductKey& key,
        std::int64_t rows);

  // The choice of an algorithm that serves every number of rows, with the workspace it needs. Nothing is computed.
  std::optional<Choice> serving(const cublasLtMatmulAlgo_t& algorithm) const;
  const Operands& operands() const { return operands_; }

  // The median of a few products of all rows; infinity where cuBLASLt refuses to compute them.
  double seconds(const Choice& choice);
  // The first steady_rows rows' bits, where they were seen to be the same in products of several sizes; none otherwise.
  std::optional<std::vector<std::uint8_t>> steady_bits(const Choice& choice);

 private:
  bool multiply(const Choice& choice, std::int64_t rows);
  void fill(const Tensor& matrix, float again);
  std::vector<std::uint8_t> bits(std::int64_t rows);

  cudaStream_t stream_;
  cublasLtHandle_t blas_;
  const Buffer& workspace_;
  Buffer x_, w_, out_, bias_;
  Copies copies_;
  Operands operands_;  // with all rows
};

}  // namespace thresher::device::cuda
