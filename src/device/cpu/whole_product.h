// Products with weights of one piece: blocks of rows with all columns where those keep every thread busy, else with
// tiles of columns. No bits depend on which.
#pragma once

#include "device/cpu/crew.h"
#include "device/cpu/cut_product.h"
#include "device/cpu/kernels.h"
#include "device/cpu/product.h"

namespace thresher::device::cpu {

class WholeProducts {
 public:
  WholeProducts(const Kernels& kernels, Products& products, Crew& crew)
      : kernels_(kernels), products_(products), crew_(crew) {}

  void run(const Tensor& x, const PackedWeight& weight, const ProductEnd& end);

 private:
  class Task;

  const Kernels& kernels_;
  Products& products_;
  Crew& crew_;
  Buffer scratch_;  // one slice per thread: a block of x and one of out, where oneDNN cannot take them where they lie
};

}  // namespace thresher::device::cpu
