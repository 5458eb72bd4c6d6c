// Device::matmul: the product itself, and what has to happen around it where cuBLASLt cannot do everything at once.
#pragma once

#include "device/cuda/runtime/product.h"
#include "device/cuda/runtime/weight.h"

namespace thresher::device::cuda {

class Matmul {
 public:
  Matmul(int gpu, cudaStream_t stream, Products& products) : gpu_(gpu), stream_(stream), products_(products) {}

  void run(const Tensor& x, const CudaWeight& weight, const Tensor& bias, bool accumulate, const Tensor& out);

  // Of f32 sums that wait for their end, and of rows that do not lie where cuBLASLt reads them.
  static constexpr std::int64_t scratch_bytes = std::int64_t{128} << 20;

 private:
  // (sum + bias) + out is one product only without one of the two.
  bool at_once(const Tensor& x, const CudaWeight& weight, const Tensor& bias, bool accumulate, const Tensor& out);
  void in_slabs(const Tensor& x, const CudaWeight& weight, const Tensor& bias, bool accumulate, const Tensor& out);

  int gpu_;
  cudaStream_t stream_;
  Products& products_;
  Buffer scratch_;
};

}  // namespace thresher::device::cuda
