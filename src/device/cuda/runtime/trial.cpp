#include "device/cuda/runtime/trial.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>

#include "device/cuda/runtime/weight.h"

namespace thresher::device::cuda {
namespace {

// Of rows that products are compared with; the last one only where the trial has as many.
constexpr std::int64_t compared_rows[] = {1, 2, 9, 33, 130, 513, 4097};
// Of rows that an algorithm has to serve.
constexpr std::int64_t served_rows[] = {1, 17, slab_rows, 8192, 32768};
constexpr std::int64_t random_rows = 64;  // the others repeat them
constexpr int timed_products = 5;

Tensor placed(Buffer& buffer, int gpu, DType dtype, std::int64_t rows, std::int64_t columns) {
  const std::int64_t stride = aligned_columns(columns, dtype);
  buffer = device_buffer(gpu, rows * stride * tensor::size_of(dtype));
  return {buffer.data(), dtype, rows, columns, stride};
}

}  // namespace

Trial::Trial(int gpu, cudaStream_t stream, cublasLtHandle_t blas, const Buffer& workspace, const ProductKey& key,
             std::int64_t rows)
    : stream_(stream), blas_(blas), workspace_(workspace), copies_(stream) {
  operands_.x = placed(x_, gpu, dtype_of(key.in), rows, key.inputs);
  operands_.w = placed(w_, gpu, dtype_of(key.in), key.outputs, key.inputs);
  operands_.out = placed(out_, gpu, dtype_of(key.out), rows, key.outputs);
  operands_.epilogue = key.epilogue;
  fill(operands_.x, -1);
  fill(operands_.w, 1);
  if (key.epilogue != Epilogue::bias) return;
  const Tensor bias = placed(bias_, gpu, DType::f32, 1, key.outputs);
  check(cudaMemsetAsync(bias.data, 0, static_cast<std::size_t>(bias_.bytes()), stream), "clearing memory");
  operands_.bias = bias.as<const float>();
}

// Numbers of ordinary size: zeros would cost less power and run faster than any work does. In every other row the
// second half repeats the first, times `again`: sums of products with x cancel there but for what rounding leaves, so
// that the order of a sum shows in its first digits, which rounding to bf16 keeps.
void Trial::fill(const Tensor& matrix, float again) {
  const std::int64_t rows = std::min(random_rows, matrix.rows), columns = matrix.stride;
  std::mt19937 generator(static_cast<std::uint32_t>(matrix.rows + 1));
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  for (float& value : values) value = static_cast<float>(generator()) * 0x1p-31f - 1;
  const std::int64_t half = matrix.columns / 2;
  for (std::int64_t r = 0; r < rows; r += 2)
    for (std::int64_t c = 0; c < half; ++c)
      values[static_cast<std::size_t>(r * columns + half + c)] =
          again * values[static_cast<std::size_t>(r * columns + c)];
  const Tensor whole{matrix.data, matrix.dtype, matrix.rows, columns, matrix.stride};
  copies_.upload_as(tensor::matrix(values.data(), DType::f32, rows, columns), whole.rows_from(0, rows));
  for (std::int64_t done = rows; done < matrix.rows;) {
    const std::int64_t more = std::min(done, matrix.rows - done);
    check(cudaMemcpyAsync(whole.rows_from(done, more).data, whole.data,
                          static_cast<std::size_t>(more * columns * tensor::size_of(matrix.dtype)),
                          cudaMemcpyDeviceToDevice, stream_),
          "filling a trial's matrix");
    done += more;
  }
}

std::optional<Choice> Trial::serving(const cublasLtMatmulAlgo_t& algorithm) const {
  Choice choice = choice_of(algorithm);
  choice.workspace = 0;
  for (const std::int64_t rows : served_rows) {
    const std::int64_t needed = Description(operands_, rows).workspace(blas_, algorithm);
    if (needed < 0 || needed > workspace_bytes) return std::nullopt;
    choice.workspace = std::max(choice.workspace, needed);
  }
  return choice;
}

bool Trial::multiply(const Choice& choice, std::int64_t rows) {
  Operands some = operands_;
  some.x.rows = some.out.rows = rows;
  return Description(some, rows).run(blas_, some, choice, workspace_, stream_) == CUBLAS_STATUS_SUCCESS;
}

double Trial::seconds(const Choice& choice) {
  const std::int64_t rows = operands_.x.rows;
  if (!multiply(choice, rows)) return std::numeric_limits<double>::infinity();
  const EventHandle begin = make_event(true), end = make_event(true);
  std::vector<float> milliseconds(timed_products);
  for (float& one : milliseconds) {
    check(cudaEventRecord(begin.raw(), stream_), "timing a product");
    multiply(choice, rows);
    check(cudaEventRecord(end.raw(), stream_), "timing a product");
    check(cudaEventSynchronize(end.raw()), "timing a product");
    check(cudaEventElapsedTime(&one, begin.raw(), end.raw()), "timing a product");
  }
  std::ranges::nth_element(milliseconds, milliseconds.begin() + timed_products / 2);
  return static_cast<double>(milliseconds[timed_products / 2]) * 1e-3;
}

std::vector<std::uint8_t> Trial::bits(std::int64_t rows) {
  const Tensor& out = operands_.out;
  std::vector<std::uint8_t> host(static_cast<std::size_t>(rows * out.columns * tensor::size_of(out.dtype)));
  copies_.download(out.rows_from(0, rows), tensor::matrix(host.data(), out.dtype, rows, out.columns));
  return host;
}

std::optional<std::vector<std::uint8_t>> Trial::steady_bits(const Choice& choice) {
  const auto product = [&](std::int64_t rows) -> std::optional<std::vector<std::uint8_t>> {
    check(cudaMemsetAsync(operands_.out.data, 0, static_cast<std::size_t>(out_.bytes()), stream_), "clearing memory");
    if (!multiply(choice, rows)) return std::nullopt;
    return bits(std::min(rows, steady_rows));
  };
  const auto all = product(steady_rows);
  if (!all) return std::nullopt;
  for (const std::int64_t rows : compared_rows) {
    if (rows > operands_.x.rows) break;
    const auto some = product(rows);
    if (!some || std::memcmp(some->data(), all->data(), some->size()) != 0) return std::nullopt;
  }
  return all;
}

}  // namespace thresher::device::cuda
