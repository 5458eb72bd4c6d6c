#include "device/cuda/runtime/description.h"

#include <cstring>

namespace thresher::device::cuda {
namespace {

constexpr int candidates = 16;
constexpr std::int64_t row_alignment = 16;  // see weight.h
constexpr float one = 1, zero = 0;

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
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

ProductKey key_of(const Operands& operands) {
  const auto number = [](DType dtype) { return dtype == DType::bf16 ? Number::bf16 : Number::f32; };
  return {.outputs = operands.w.rows,
          .inputs = operands.w.columns,
          .in = number(operands.w.dtype),
          .out = number(operands.out.dtype),
          .epilogue = operands.epilogue};
}

DType dtype_of(Number number) {
  return number == Number::bf16 ? DType::bf16 : DType::f32;
}

cublasLtMatmulAlgo_t algorithm_of(const Choice& choice) {
  cublasLtMatmulAlgo_t algorithm;
  static_assert(sizeof algorithm == sizeof choice.algorithm);
  std::memcpy(&algorithm, choice.algorithm.data(), sizeof algorithm);
  return algorithm;
}

Choice choice_of(const cublasLtMatmulAlgo_t& algorithm) {
  Choice choice{.workspace = workspace_bytes};
  std::memcpy(choice.algorithm.data(), &algorithm, sizeof algorithm);
  return choice;
}

Description::Description(const Operands& operands, std::int64_t rows)
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

std::vector<cublasLtMatmulAlgo_t> Description::suggestions(cublasLtHandle_t blas) const {
  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference), "asking for algorithms");
  const PreferenceHandle owner(preference);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(workspace_bytes));
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE));
  for (const auto alignment : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    set(preference, alignment, static_cast<std::uint32_t>(row_alignment));
  std::vector<cublasLtMatmulHeuristicResult_t> found(candidates);
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(blas, product_.raw(), a_.raw(), b_.raw(), d_.raw(),
                                                               d_.raw(), preference, candidates, found.data(), &count);
  // Epilogues that it does not know for these types are no error of ours.
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE)
    count = 0;
  else
    check(status, "asking for algorithms");
  found.resize(static_cast<std::size_t>(count));
  std::vector<cublasLtMatmulAlgo_t> algorithms;
  for (const auto& one : found)
    if (one.state == CUBLAS_STATUS_SUCCESS && whole_sums(one.algo)) algorithms.push_back(one.algo);
  return algorithms;
}

std::int64_t Description::workspace(cublasLtHandle_t blas, const cublasLtMatmulAlgo_t& algorithm) const {
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(blas, product_.raw(), a_.raw(), b_.raw(), d_.raw(), d_.raw(), &algorithm, &result);
  return status == CUBLAS_STATUS_SUCCESS ? static_cast<std::int64_t>(result.workspaceSize) : -1;
}

cublasStatus_t Description::run(cublasLtHandle_t blas, const Operands& o, const Choice& choice, const Buffer& workspace,
                                cudaStream_t stream) const {
  const cublasLtMatmulAlgo_t algorithm = algorithm_of(choice);
  const float* beta = o.epilogue == Epilogue::accumulate ? &one : &zero;
  return cublasLtMatmul(blas, product_.raw(), &one, o.w.data, a_.raw(), o.x.data, b_.raw(), beta, o.out.data, d_.raw(),
                        o.out.data, d_.raw(), &algorithm, workspace.data(), static_cast<std::size_t>(choice.workspace),
                        stream);
}

}  // namespace thresher::device::cuda
