// The products of a gated layer and their gate, as one step and as two.
#include "device/device_contract.h"
#include "device/grid.h"
#include "device/plain.h"

namespace thresher::device::contract {
namespace {

struct Case {
  DType dtype;
  std::int64_t rows, width, inputs;
  bool bias;
  Activation activation;
};

// What one step writes beside a margin has the bits of two; x may lie in a margin too.
void check_case(Device& device, const Case& one, std::int64_t margin) {
  std::mt19937_64 generator(7);
  Grid x(device, one.dtype, one.rows, one.inputs, margin);
  x.random(generator);
  std::vector<float> matrix = random_matrix(5, 2 * one.width * one.inputs, 0.2f);
  const auto weight = device.pack(tensor::matrix(matrix.data(), DType::f32, 2 * one.width, one.inputs), one.dtype);
  Plain bias(device, DType::f32, 1, 2 * one.width), wide(device, one.dtype, one.rows, 2 * one.width),
      unused(device, one.dtype, one.rows, 2 * one.width);
  bias.random(6);
  const Tensor added = one.bias ? bias.view() : Tensor{};
  Grid want(device, one.dtype, one.rows, one.width), got(device, one.dtype, one.rows, one.width, margin);
  device.matmul(x.view(), *weight, added, false, wide.view());
  device.gate(wide.view(), one.activation, want.view());
  device.matmul_gate(x.view(), *weight, added, one.activation, unused.view(), got.view());
  want.read(), got.read();
  for (std::int64_t r = 0; r < one.rows; ++r)
    for (std::int64_t c = 0; c < one.width; ++c)
      if (!(want.at(r, c) == got.at(r, c)) || std::signbit(want.at(r, c)) != std::signbit(got.at(r, c))) {
        BOOST_ERROR(one.rows << " rows of " << one.width << " by " << one.inputs << " in " << tensor::name_of(one.dtype)
                             << ": row " << r << ", column " << c << " is " << got.at(r, c) << ", in two steps "
                             << want.at(r, c));
        return;
      }
}

}  // namespace

// Widths that are a step of their own and that are not, one and several tiles of columns, weights small and large.
void check_matmul_gate(Device& device) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t width : {1, 40, 64, 192, 320})
      for (const std::int64_t inputs : {7, 300})
        for (const std::int64_t rows : {1, 13, 330})
          for (const bool bias : {false, true})
            check_case(device, {dtype, rows, width, inputs, bias, bias ? Activation::gelu : Activation::silu}, 0);
    for (const std::int64_t width : {1088, 1100})
      for (const bool bias : {false, true})
        check_case(device, {dtype, 290, width, 1000, bias, Activation::gelu_tanh}, 0);
    check_case(device, {dtype, 300, 1088, 1000, true, Activation::silu}, 3);
    check_case(device, {dtype, 33, 128, 70, true, Activation::silu}, 5);
  }
}

}  // namespace thresher::device::contract
