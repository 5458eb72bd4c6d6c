#include "device/cuda/runtime/product.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "device/cuda/runtime/weight.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

constexpr std::int64_t workspace_bytes = std::int64_t{32} << 20;
constexpr int candidates = 16;
constexpr std::int64_t steady_rows = 640;  // of the largest product that bits are compared with
constexpr float one = 1, zero = 0;

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

Number number_of(DType dtype) {
  return dtype == DType::bf16 ? Number::bf16 : Number::f32;
}

ProductKey key_of(const Operands& operands) {
  return {.outputs = operands.w.rows,
          .inputs = operands.w.columns,
          .in = number_of(operands.w.dtype),
          .out = number_of(operands.out.dtype),
          .epilogue = operands.epilogue};
}

cublasLtMatmulAlgo_t algorithm_of(const Choice& choice) {
  cublasLtMatmulAlgo_t algorithm;
  static_assert(sizeof algorithm == sizeof choice.algorithm);
  std::memcpy(&algorithm, choice.algorithm.data(), sizeof algorithm);
  return algorithm;
}

LayoutHandle layout_of(const Tensor& x, std::int64_t rows) {
  cublasLtMatrixLayout_t layout = nullptr;
  // By columns, as cuBLAS sees a matrix by rows.
  check(cublasLtMatrixLayoutCreate(&layout, type_of(x.dtype), static_cast<std::uint64_t>(x.columns),
                                   static_cast<std::uint64_t>(rows), x.stride),
        "describing a matrix");
  return LayoutHandle(layout);
}

template <class T>
void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  check(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof value), "describing a product");
}

template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value), "asking for algorithms");
}

std::uint32_t config_of(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute) {
  std::uint32_t value = 0;
  std::size_t written = 0;
  check(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof value, &written),
        "reading an algorithm");
  return value;
}

// Sums each number in one piece.
bool whole_sums(const cublasLtMatmulAlgo_t& algorithm) {
  return config_of(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) <= 1 &&
         config_of(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) == CUBLASLT_REDUCTION_SCHEME_NONE;
}

}  // namespace

std::size_t blas_version() {
  return cublasLtGetVersion();
}

// A product of `rows` rows as cuBLASLt is told about it: A = w transposed, B = x, D = out by columns.
class Products::Description {
 public:
  Description(const Operands& operands, std::int64_t rows)
      : a_(layout_of(operands.w, operands.w.rows)), b_(layout_of(operands.x, rows)), d_(layout_of(operands.out, rows)) {
    cublasLtMatmulDesc_t product = nullptr;
    check(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
    product_ = ProductHandle(product);
    set(product, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    set(product, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    if (operands.epilogue != Epilogue::bias) return;
    set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
    set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.bias);
  }

  std::vector<cublasLtMatmulHeuristicResult_t> suggestions(cublasLtHandle_t blas) const {
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "asking for algorithms");
    const PreferenceHandle owner(preference);
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(workspace_bytes));
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE));
    for (const auto alignment :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      set(preference, alignment, static_cast<std::uint32_t>(row_alignment));
    std::vector<cublasLtMatmulHeuristicResult_t> found(candidates);
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        blas, product_.raw(), a_.raw(), b_.raw(), d_.raw(), d_.raw(), preference, candidates, found.data(), &count);
    // Epilogues that it does not know for these types are no error of ours.
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE)
      count = 0;
    else
      check(status, "asking for algorithms");
    found.resize(static_cast<std::size_t>(count));
    std::erase_if(found, [](const auto& one) { return one.state != CUBLAS_STATUS_SUCCESS || !whole_sums(one.algo); });
    return found;
  }

  // Bytes of workspace that the algorithm needs; -1 where it does not serve this product.
  std::int64_t workspace(cublasLtHandle_t blas, const cublasLtMatmulAlgo_t& algorithm) const {
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status =
        cublasLtMatmulAlgoCheck(blas, product_.raw(), a_.raw(), b_.raw(), d_.raw(), d_.raw(), &algorithm, &result);
    return status == CUBLAS_STATUS_SUCCESS ? static_cast<std::int64_t>(result.workspaceSize) : -1;
  }

  cublasStatus_t run(cublasLtHandle_t blas, const Operands& o, const Choice& choice, const Buffer& workspace,
                     cudaStream_t stream) const {
    const cublasLtMatmulAlgo_t algorithm = algorithm_of(choice);
    const float* beta = o.epilogue == Epilogue::accumulate ? &one : &zero;
    return cublasLtMatmul(blas, product_.raw(), &one, o.w.data, a_.raw(), o.x.data, b_.raw(), beta, o.out.data,
                          d_.raw(), o.out.data, d_.raw(), &algorithm, workspace.data(),
                          static_cast<std::size_t>(choice.workspace), stream);
  }

 private:
  LayoutHandle a_, b_, d_;
  ProductHandle product_;
};

Products::Products(int gpu, cudaStream_t stream, std::string machine)
    : gpu_(gpu), stream_(stream), algorithms_(std::move(machine)) {
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
  if (const Choice* known = algorithms_.find(key)) {
    if (checked_.contains(key)) return known;
    // Given by another rank or an earlier run: it has to serve here too.
    const std::int64_t needed = Description(operands, slab_rows).workspace(blas_.raw(), algorithm_of(*known));
    if (needed < 0 || needed > known->workspace || known->workspace > workspace_bytes)
      base::fail(base::Exit::data, fmt::format("cuBLASLt does not take the algorithm that is given for a weight of {} "
                                               "x {}; leave the given algorithms out",
                                               operands.w.rows, operands.w.columns));
    checked_.insert(key);
    return known;
  }
  if (refused_.contains(key)) return nullptr;
  if (choose(operands, key)) {
    checked_.insert(key);
    return algorithms_.find(key);
  }
  if (operands.epilogue == Epilogue::none)
    base::fail(base::Exit::unavailable,
               fmt::format("cuBLASLt {} has no algorithm without split sums for a weight of {} x {} ({} to {})",
                           blas_version(), operands.w.rows, operands.w.columns, tensor::name_of(operands.w.dtype),
                           tensor::name_of(operands.out.dtype)));
  refused_.insert(key);
  return nullptr;
}

bool Products::choose(const Operands& operands, const ProductKey& key) {
  std::optional<Choice> unsteady;
  for (const auto& suggestion : Description(operands, tuned_rows).suggestions(blas_.raw())) {
    Choice choice;
    std::memcpy(choice.algorithm.data(), &suggestion.algo, sizeof suggestion.algo);
    bool serves = true;
    for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{17}, slab_rows, tuned_rows, 4 * tuned_rows}) {
      const std::int64_t workspace = Description(operands, rows).workspace(blas_.raw(), suggestion.algo);
      serves = serves && workspace >= 0 && workspace <= workspace_bytes;
      choice.workspace = std::max(choice.workspace, workspace);
    }
    if (!serves) continue;
    if (steady(operands, choice)) {
      algorithms_.add(key, choice);
      return true;
    }
    if (!unsteady) unsteady = choice;
  }
  if (!unsteady) return false;
  unsteady->slabs = true;
  algorithms_.add(key, *unsteady);
  return true;
}

bool Products::steady(const Operands& operands, const Choice& choice) {
  const Tensor &w = operands.w, &x = operands.x, &out = operands.out;
  const std::int64_t x_stride = aligned_columns(x.columns, x.dtype),
                     out_stride = aligned_columns(out.columns, out.dtype);
  const std::int64_t out_bytes = steady_rows * out_stride * tensor::size_of(out.dtype);
  const Buffer x_memory = device_buffer(gpu_, steady_rows * x_stride * tensor::size_of(x.dtype));
  const Buffer out_memory = device_buffer(gpu_, out_bytes);
  std::mt19937 generator(1);
  std::vector<float> values(static_cast<std::size_t>(steady_rows * x_stride));
  for (float& value : values) value = static_cast<float>(generator()) * 0x1p-31f - 1;
  Operands trial = operands;
  trial.x = {x_memory.data(), x.dtype, steady_rows, x.columns, x_stride};
  trial.out = {out_memory.data(), out.dtype, steady_rows, out.columns, out_stride};
  Copies copies(stream_);
  copies.upload_as(tensor::matrix(values.data(), DType::f32, steady_rows, x_stride),
                   {x_memory.data(), x.dtype, steady_rows, x_stride, x_stride});
  const auto bits = [&](std::int64_t rows) {
    check(cudaMemsetAsync(out_memory.data(), 0, static_cast<std::size_t>(out_bytes), stream_), "clearing memory");
    trial.x.rows = trial.out.rows = rows;
    multiply(trial, choice);
    std::vector<std::uint8_t> host(static_cast<std::size_t>(rows * w.rows * tensor::size_of(out.dtype)));
    copies.download(trial.out, tensor::matrix(host.data(), out.dtype, rows, w.rows));
    return host;
  };
  const std::vector<std::uint8_t> all = bits(steady_rows);
  for (const std::int64_t rows : {1, 2, 9, 33, 130, 513}) {
    const std::vector<std::uint8_t> some = bits(rows);
    if (std::memcmp(some.data(), all.data(), some.size()) != 0) return false;
  }
  return true;
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
  const std::int64_t size = dtype == DType::bf16 ? 8192 : 4096, bytes = size * size * tensor::size_of(dtype);
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
  Choice choice{.workspace = workspace_bytes};
  std::memcpy(choice.algorithm.data(), &suggestions.front().algo, sizeof choice.algorithm);
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
