#include "device/cuda/runtime/product.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

#include "device/cuda/runtime/trial.h"
#include "device/cuda/runtime/weight.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

constexpr std::int64_t least_peak_size = 256;

bool readable(std::string_view key, std::string_view choice) {
  return read_product_key(key) && read_product_choice(choice);
}

}  // namespace

Products::Products(int gpu, cudaStream_t stream, Algorithms& algorithms)
    : gpu_(gpu), stream_(stream), algorithms_(algorithms) {
  algorithms_.know(products_section, readable);
  cublasLtHandle_t blas = nullptr;
  check(cublasLtCreate(&blas), "starting cuBLASLt");
  blas_ = BlasHandle(blas);
  workspace_ = device_buffer(gpu, workspace_bytes);
}

Products::~Products() = default;

bool Products::run(const Operands& operands) {
  const Choice* chosen = choice(operands);
  if (!chosen) return false;
  if (chosen->slabs)
    multiply_slabs(operands, *chosen);
  else
    multiply(operands, *chosen);
  return true;
}

const Choice* Products::choice(const Operands& operands) {
  const ProductKey key = key_of(operands);
  if (const auto known = choices_.find(key); known != choices_.end()) return &known->second;
  if (const std::string* given = algorithms_.find(products_section, text_of(key)))
    return &(choices_[key] = checked(operands, *given));
  if (refused_.contains(key)) return nullptr;
  std::optional<Choice> found;
  switch (unknown_) {
    case Unknown::choose:
      found = first_steady(key);
      break;
    case Unknown::note:
      found = first(operands);
      if (found) noted_.insert(key);
      break;
    case Unknown::tune:
      if (first(operands)) found = tuned(key).choice;
      break;
  }
  if (found) {
    if (unknown_ != Unknown::note) algorithms_.add(products_section, text_of(key), text_of(*found));
    return &(choices_[key] = *found);
  }
  if (operands.epilogue == Epilogue::none)
    base::fail(base::Exit::unavailable,
               fmt::format("cuBLASLt {} has no algorithm without split sums for a weight of {} x {} ({} to {})",
                           blas_version(), operands.w.rows, operands.w.columns, tensor::name_of(operands.w.dtype),
                           tensor::name_of(operands.out.dtype)));
  refused_.insert(key);
  return nullptr;
}

// Given by another rank or an earlier run: it has to serve here too.
Choice Products::checked(const Operands& operands, const std::string& given) const {
  const Choice known = *read_product_choice(given);
  const std::int64_t needed = Description(operands, slab_rows).workspace(blas_.raw(), algorithm_of(known));
  if (needed < 0 || needed > known.workspace || known.workspace > workspace_bytes)
    base::fail(base::Exit::data, fmt::format("cuBLASLt does not take the algorithm that is given for a weight of {} "
                                             "x {}; leave the given algorithms out",
                                             operands.w.rows, operands.w.columns));
  return known;
}

std::optional<Choice> Products::first(const Operands& operands) const {
  const auto suggestions = Description(operands, tuned_rows).suggestions(blas_.raw());
  for (const auto& algorithm : suggestions)
    if (Description(operands, operands.x.rows).workspace(blas_.raw(), algorithm) >= 0) return choice_of(algorithm);
  return std::nullopt;
}

std::optional<Choice> Products::first_steady(const ProductKey& key) {
  Trial trial(gpu_, stream_, blas_.raw(), workspace_, key, steady_rows);
  std::optional<Choice> unsteady;
  for (const auto& algorithm : Description(trial.operands(), tuned_rows).suggestions(blas_.raw())) {
    std::optional<Choice> choice = trial.serving(algorithm);
    if (!choice) continue;
    if (trial.steady_bits(*choice)) return choice;
    if (!unsteady) unsteady = choice;
  }
  if (unsteady) unsteady->slabs = true;
  return unsteady;
}

void Products::on_unknown(Unknown what) {
  for (const ProductKey& key : noted_) choices_.erase(key);
  noted_.clear();
  unknown_ = what;
}

TunedProduct Products::tune(const ProductKey& key) {
  const TunedProduct product = tuned(key);
  algorithms_.add(products_section, text_of(key), text_of(product.choice));
  return product;
}

TunedProduct Products::tuned(const ProductKey& key) {
  for (std::int64_t rows = tuned_rows;; rows /= 2) {
    try {
      Trial trial(gpu_, stream_, blas_.raw(), workspace_, key, rows);
      return fastest(trial, Description(trial.operands(), tuned_rows).suggestions(blas_.raw()));
    } catch (const base::Error& error) {
      if (error.code() != base::Exit::os || rows / 2 < steady_rows) throw;  // else: too little memory is left
    }
  }
}

void Products::multiply(const Operands& operands, const Choice& choice) {
  check(Description(operands, operands.x.rows).run(blas_.raw(), operands, choice, workspace_, stream_),
        "a matrix product");
}

void Products::multiply_slabs(const Operands& operands, const Choice& choice) {
  const std::int64_t rows = operands.x.rows, whole = rows / slab_rows * slab_rows;
  Operands slab = operands;
  for (std::int64_t first = 0; first < whole; first += slab_rows) {
    slab.x = operands.x.rows_from(first, slab_rows);
    slab.out = operands.out.rows_from(first, slab_rows);
    multiply(slab, choice);
  }
  if (whole == rows) return;
  const auto room = [&](Buffer& buffer, const Tensor& like) {
    const std::int64_t stride = aligned_columns(like.columns, like.dtype);
    grow(buffer, gpu_, slab_rows * stride * tensor::size_of(like.dtype));
    return Tensor{buffer.data(), like.dtype, slab_rows, like.columns, stride};
  };
  const auto copy = [&](const Tensor& from, const Tensor& to) {
    const auto size = static_cast<std::size_t>(tensor::size_of(from.dtype));
    check(cudaMemcpy2DAsync(to.data, static_cast<std::size_t>(to.stride) * size, from.data,
                            static_cast<std::size_t>(from.stride) * size, static_cast<std::size_t>(from.columns) * size,
                            static_cast<std::size_t>(from.rows), cudaMemcpyDeviceToDevice, stream_),
          "copying rows of a product");
  };
  const std::int64_t rest = rows - whole;
  slab.x = room(slab_x_, operands.x);
  slab.out = room(slab_out_, operands.out);
  copy(operands.x.rows_from(whole, rest), slab.x.rows_from(0, rest));
  if (operands.epilogue == Epilogue::accumulate) copy(operands.out.rows_from(whole, rest), slab.out.rows_from(0, rest));
  multiply(slab, choice);
  copy(slab.out.rows_from(0, rest), operands.out.rows_from(whole, rest));
}

double Products::measure_peak(DType dtype, double seconds) {
  std::int64_t size = dtype == DType::bf16 ? 8192 : 4096;
  // A GPU that is nearly full of weights has room for a smaller product only.
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the free memory");
  while (size > least_peak_size && 4 * size * size * tensor::size_of(dtype) > static_cast<std::int64_t>(free))
    size /= 2;
  const std::int64_t bytes = size * size * tensor::size_of(dtype);
  const Buffer x = device_buffer(gpu_, bytes), w = device_buffer(gpu_, bytes), out = device_buffer(gpu_, bytes);
  // Numbers of ordinary size: zeros would cost less power and run faster than any work does.
  std::vector<float> values(static_cast<std::size_t>(size * 64));
  std::mt19937 generator(1);
  for (float& value : values) value = static_cast<float>(generator()) * 0x1p-31f - 1;
  Copies copies(stream_);
  for (std::int64_t r = 0; r < size; r += 64)
    for (const Buffer* buffer : {&x, &w})
      copies.upload_as(tensor::matrix(values.data(), DType::f32, 64, size),
                       tensor::matrix(buffer->data(), dtype, size, size).rows_from(r, 64));
  const Operands operands{.x = tensor::matrix(x.data(), dtype, size, size),
                          .w = tensor::matrix(w.data(), dtype, size, size),
                          .out = tensor::matrix(out.data(), dtype, size, size)};
  const auto suggestions = Description(operands, size).suggestions(blas_.raw());
  if (suggestions.empty()) base::fail(base::Exit::unavailable, "cuBLASLt has no algorithm to measure the peak with");
  const Choice choice = choice_of(suggestions.front());
  const EventHandle begin = make_event(true), end = make_event(true);
  const auto start = std::chrono::steady_clock::now();
  double best = 0;
  do {
    check(cudaEventRecord(begin.raw(), stream_), "measuring");
    for (int i = 0; i < 4; ++i) multiply(operands, choice);
    check(cudaEventRecord(end.raw(), stream_), "measuring");
    check(cudaEventSynchronize(end.raw()), "measuring the peak");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin.raw(), end.raw()), "measuring");
    const auto n = static_cast<double>(size);
    best = std::max(best, 4 * 2 * n * n * n / (static_cast<double>(milliseconds) * 1e-3));
  } while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds);
  return best;
}

}  // namespace thresher::device::cuda
