#include <array>

#include "device/device_contract.h"
#include "device/grid.h"

namespace thresher::device::contract {
namespace {

struct Case {
  std::int64_t rows, inputs, outputs;
  DType dtype, out;
  bool bias, accumulate;
  std::int64_t margin;
  std::vector<std::int64_t> cuts = {};
};

std::vector<double> product_of(Device& device, const Case& c) {
  std::mt19937_64 generator(7);
  std::vector<float> matrix(static_cast<std::size_t>(c.outputs * c.inputs));
  std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(c.inputs)));
  for (float& value : matrix) value = normal(generator);
  Grid x(device, c.dtype, c.rows, c.inputs), bias(device, DType::f32, 1, c.outputs),
      out(device, c.out, c.rows, c.outputs);
  x.random(generator);
  bias.random(generator);
  out.random(generator);
  const auto weight = device.pack(tensor::matrix(matrix.data(), DType::f32, c.outputs, c.inputs), c.dtype);
  device.reserve(c.rows, c.rows, 0);
  device.matmul(x.view(), *weight, c.bias ? bias.view() : Tensor{}, c.accumulate, out.view());
  out.read();
  std::vector<double> numbers;
  for (std::int64_t r = 0; r < c.rows; ++r)
    for (std::int64_t n = 0; n < c.outputs; ++n) numbers.push_back(out.at(r, n));
  return numbers;
}

void check_product(Device& device, const Case& c) {
  std::mt19937_64 generator(7);
  Grid matrix(device, c.dtype, c.outputs, c.inputs), x(device, c.dtype, c.rows, c.inputs, c.margin);
  Grid bias(device, DType::f32, 1, c.outputs), out(device, c.out, c.rows, c.outputs, c.margin);
  const double scale = 1 / std::sqrt(static_cast<double>(c.inputs));
  matrix.random(generator, scale);
  x.random(generator);
  bias.random(generator);
  std::vector<double> before(static_cast<std::size_t>(c.rows * c.outputs), 0);
  if (c.accumulate) {
    out.random(generator);
    for (std::int64_t i = 0; i < c.rows * c.outputs; ++i)
      before[static_cast<std::size_t>(i)] = out.at(i / c.outputs, i % c.outputs);
  }
  // Weights come from host memory.
  std::vector<float> host(static_cast<std::size_t>(c.outputs * c.inputs));
  for (std::int64_t i = 0; i < c.outputs * c.inputs; ++i)
    host[static_cast<std::size_t>(i)] = static_cast<float>(matrix.at(i / c.inputs, i % c.inputs));
  const auto weight = device.pack(tensor::matrix(host.data(), DType::f32, c.outputs, c.inputs), c.dtype, c.cuts);
  BOOST_TEST(weight->outputs() == c.outputs);
  BOOST_TEST(weight->inputs() == c.inputs);
  device.reserve(c.rows, c.rows, 0);
  device.matmul(x.view(), *weight, c.bias ? bias.view() : Tensor{}, c.accumulate, out.view());
  compare(
      out.read(), 4e-6, relative_error(c.out),
      [&](std::int64_t r, std::int64_t n) {
        double sum = before[static_cast<std::size_t>(r * c.outputs + n)] + (c.bias ? bias.at(0, n) : 0);
        for (std::int64_t k = 0; k < c.inputs; ++k) sum += x.at(r, k) * matrix.at(n, k);
        return sum;
      },
      "matmul");
}

}  // namespace

void check_matmul(Device& device) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::int64_t rows : {1, 7, 17, 33, 255})
      for (const std::int64_t margin : {0, 8}) {
        check_product(device, {rows, 24, 17, dtype, DType::f32, false, false, margin});
        check_product(device, {rows, 96, 40, dtype, DType::f32, true, false, margin});
        check_product(device, {rows, 64, 300, dtype, dtype, true, false, margin});
        check_product(device, {rows, 100, 130, dtype, dtype, false, false, margin});
        check_product(device, {rows, 288, 96, dtype, DType::f32, false, true, margin});
        check_product(device, {rows, 7, 33, dtype, DType::f32, true, true, margin});
      }
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::int64_t margin : {0, 8}) {
      check_product(device, {33, 300, 130, dtype, dtype, true, false, margin, {0, 20, 41, 41, 300}});
      check_product(device, {33, 600, 70, dtype, DType::f32, true, true, margin, {0, 250, 600}});
      check_product(device, {7, 24, 17, dtype, DType::f32, false, true, margin, {0, 24}});
      check_product(device, {70, 0, 17, dtype, DType::f32, true, true, margin});
      check_product(device, {70, 0, 17, dtype, dtype, false, false, margin, {0, 0, 0}});
      check_product(device, {70, 40, 0, dtype, dtype, false, false, margin});
    }
  check_product(device, {40, 1024, 2100, DType::bf16, DType::bf16, false, false, 0});
  check_product(device, {300, 130, 64, DType::f32, DType::f32, false, true, 0});
}

// Wide and deep enough that the number of threads decides how a product is divided.
void check_same_products(Device& one, Device& other) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const auto& [rows, inputs, outputs] :
         {std::array<std::int64_t, 3>{150, 3100, 2100}, {300, 520, 4096}, {1, 1024, 1100}})
      for (const DType out : {DType::f32, dtype})
        for (const bool bias : {false, true})
          for (const bool accumulate : {false, true}) {
            if (accumulate && out != DType::f32) continue;
            const Case c{rows, inputs, outputs, dtype, out, bias, accumulate, 0};
            if (product_of(one, c) != product_of(other, c))
              BOOST_ERROR(tensor::name_of(dtype) << " products of " << rows << " x " << inputs << " x " << outputs
                                                 << " in " << tensor::name_of(out) << (bias ? ", biased," : "")
                                                 << (accumulate ? " added" : "") << " have other bits");
          }
}

}  // namespace thresher::device::contract
