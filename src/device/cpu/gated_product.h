// The products of a gated layer and its gate in one step: what lies between the two stays in a core's cache.
#pragma once

#include <vector>

#include "device/cpu/crew.h"
#include "device/cpu/int8_product.h"
#include "device/cpu/kernels.h"
#include "device/cpu/product.h"

namespace thresher::device::cpu {

class GatedProducts {
 public:
  GatedProducts(const Kernels& kernels, Products& products, Crew& crew)
      : kernels_(kernels), products_(products), crew_(crew), gate_seconds_(static_cast<std::size_t>(crew.threads())) {}

  struct End {
    const Tensor& bias;
    Gate gate;
    DType between;  // f32 or bf16: what products are rounded to
    const Tensor& out;
  };
  // out as of the product and then the gate, bit for bit. False, and nothing is done: not these operands.
  bool run(const Tensor& x, const Weight& weight, const End& end);
  // In the gates of all runs, a thread's share.
  double gate_seconds() const;

 private:
  struct Span;
  struct Task;
  class Floats;
  class Bytes;
  static std::vector<Span> spans_of(const Tensor& out, std::int64_t columns);
  template <class Factors>
  void run(const Factors& factors, const End& end);
  template <class Factors>
  double run(const Factors& factors, const Task& task, const End& end) const;

  const Kernels& kernels_;
  Products& products_;
  Crew& crew_;
  Buffer scratch_;  // one slice per thread
  std::vector<double> gate_seconds_;
};

}  // namespace thresher::device::cpu
