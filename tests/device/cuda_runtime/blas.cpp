#include <cublasLt.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "device/cuda_runtime/fake.h"
#include "device/cuda_runtime/memory.h"
#include "thresher/base/half.h"

// cuBLASLt's own types are opaque blocks of words; what is told about them lies in here.
namespace thresher::device::fake {
namespace {

struct Layout {
  cudaDataType_t type;
  std::int64_t rows, columns, stride;
};
struct Product {
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  cudaDataType_t bias_type = CUDA_R_16BF;
  const float* bias = nullptr;
};
struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t reductions = ~0u, alignment[4] = {256, 256, 256, 256};
};

template <class T, class Handle>
T& held(Handle handle) {
  return *reinterpret_cast<T*>(handle);
}

// Kinds of algorithms, in the first word: one sums in pieces, one serves many rows only, one sums in an order that
// depends on the number of rows, the others are as they should be: one of them sums in an order of its own.
enum Kind : std::uint64_t { split, many_rows, unsteady, steady, other_bits, plain };
constexpr std::int64_t least_rows = 64;  // of the second kind
constexpr std::uint64_t workspace_needed = 1 << 20;

std::int64_t size_of(cudaDataType_t type) {
  return type == CUDA_R_16BF ? 2 : 4;
}
float number(const void* data, cudaDataType_t type, std::int64_t at) {
  return type == CUDA_R_16BF ? base::from_bf16(static_cast<const std::uint16_t*>(data)[at])
                             : static_cast<const float*>(data)[at];
}
void write(void* data, cudaDataType_t type, std::int64_t at, float value) {
  if (type == CUDA_R_16BF) {
    static_cast<std::uint16_t*>(data)[at] = base::to_bf16(value);
  } else {
    static_cast<float*>(data)[at] = value;
  }
}

bool serves(const Product& product, const Layout& d) {
  return product.epilogue != CUBLASLT_EPILOGUE_BIAS || d.type == CUDA_R_32F || settings().bias_to_bf16;
}

void expect(bool right, const char* what) {
  if (!right) throw std::logic_error(std::string("cuBLASLt is called with ") + what);
}

void expect_matrix(const void* data, const Layout& layout, const char* what) {
  expect(reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && layout.stride * size_of(layout.type) % 16 == 0,
         "rows that are not aligned");
  expect(layout.rows > 0 && layout.columns > 0 && layout.stride >= layout.rows, "an empty or overlapping matrix");
  expect_device_memory(data, ((layout.columns - 1) * layout.stride + layout.rows) * size_of(layout.type), what);
}

// A cube of a power of two measures the peak, and one of 8192 rows times an algorithm; nobody looks at their results.
// Of a product of more rows than 4096, a check of bits looks at the first 640.
constexpr std::int64_t timed_rows = 8192, most_rows = 4096, looked_at = 640;

bool only_timed(std::int64_t inputs, std::int64_t outputs, std::int64_t rows) {
  return inputs == outputs && inputs == rows && inputs >= 256 && (inputs & (inputs - 1)) == 0;
}

// Milliseconds of a timed product, by kind.
double milliseconds(Kind kind) {
  const char* text = std::getenv("THRESHER_FAKE_MILLISECONDS");
  std::istringstream words(text ? text : settings().milliseconds);
  double value = 1;
  for (std::uint64_t i = 0; i <= kind; ++i) words >> value;
  return value;
}

// One product of a = w (transposed), b = x, as the library under test asks for them.
struct Call {
  Product product;
  Layout a, b, d;
  const void *w, *x;
  void* out;
  bool accumulate;
  Kind kind;

  // Which product is the i-th of a sum.
  std::int64_t place(std::int64_t i) const {
    const std::int64_t inputs = a.rows, even = (inputs + 1) / 2;
    if (kind == unsteady && b.columns % 2 == 1) return inputs - 1 - i;
    if (kind == other_bits) return i < even ? 2 * i : 2 * (i - even) + 1;
    return i;
  }

  void run() const {
    const std::int64_t inputs = a.rows, outputs = a.columns, rows = b.columns;
    if (rows == timed_rows) return pass(milliseconds(kind));
    if (only_timed(inputs, outputs, rows)) return;
    std::vector<float> weights(static_cast<std::size_t>(inputs * outputs)), sums(static_cast<std::size_t>(outputs));
    for (std::int64_t n = 0; n < outputs; ++n)
      for (std::int64_t k = 0; k < inputs; ++k)
        weights[static_cast<std::size_t>(k * outputs + n)] = number(w, a.type, n * a.stride + k);
    for (std::int64_t r = 0; r < (rows > most_rows ? looked_at : rows); ++r) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (std::int64_t i = 0; i < inputs; ++i) {
        const std::int64_t k = place(i);
        const float value = number(x, b.type, r * b.stride + k);
        const float* const column = weights.data() + k * outputs;
        for (std::int64_t n = 0; n < outputs; ++n) sums[static_cast<std::size_t>(n)] += value * column[n];
      }
      for (std::int64_t n = 0; n < outputs; ++n) {
        float sum = sums[static_cast<std::size_t>(n)];
        if (product.epilogue == CUBLASLT_EPILOGUE_BIAS) sum += product.bias[n];
        const std::int64_t at = r * d.stride + n;
        write(out, d.type, at, accumulate ? sum + number(out, d.type, at) : sum);
      }
    }
  }
};

}  // namespace
}  // namespace thresher::device::fake

using namespace thresher::device::fake;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(new int);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<int*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
std::size_t cublasLtGetVersion() {
  return 130100;
}
const char* cublasLtGetStatusString(cublasStatus_t) {
  return "a status";
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t columns, std::int64_t stride) {
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(
      new Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), stride});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete &held<Layout>(layout);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  expect(compute == CUBLAS_COMPUTE_32F && scale == CUDA_R_32F, "other sums than f32");
  *product = reinterpret_cast<cublasLtMatmulDesc_t>(new Product);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) {
  delete &held<Product>(product);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t bytes) {
  Product& product = held<Product>(handle);
  const auto take = [&](auto& member) {
    if (bytes != sizeof member) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&member, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  };
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return take(product.a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return take(product.b);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return take(product.epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return take(product.bias_type);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return take(product.bias);
    default:
      throw std::logic_error("an attribute of a product that the fake does not know");
  }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete &held<Preference>(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    std::size_t bytes) {
  Preference& preference = held<Preference>(handle);
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) {
    if (bytes != 8) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&preference.workspace, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  }
  if (bytes != 4) return CUBLAS_STATUS_INVALID_VALUE;
  std::uint32_t* const member = attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
                                    ? &preference.reductions
                                    : &preference.alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES];
  std::memcpy(member, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  ++counts().suggestions;
  if (!serves(held<Product>(product), held<Layout>(d))) return CUBLAS_STATUS_NOT_SUPPORTED;
  const Preference& wanted = held<Preference>(preference);
  expect(wanted.workspace >= workspace_needed, "too little workspace for any algorithm");
  for (const std::uint32_t alignment : wanted.alignment) expect(alignment == 16, "an alignment that is not promised");
  *found = 0;
  std::vector<Kind> kinds{split, many_rows, unsteady, steady, other_bits, plain};
  const char* const given = std::getenv("THRESHER_FAKE_FIRST");
  const int first = given ? std::atoi(given) : settings().first;
  if (first >= 0) std::ranges::rotate(kinds, kinds.begin() + first);
  for (const Kind kind : kinds) {
    if (kind >= steady && settings().unsteady) continue;
    if (*found == most) break;
    cublasLtMatmulHeuristicResult_t& result = results[(*found)++];
    result = {};
    result.algo.data[0] = kind;
    result.algo.data[7] = 0xabcdef;
    result.state = CUBLAS_STATUS_SUCCESS;
    result.workspaceSize = workspace_needed;
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulHeuristicResult_t* result) {
  if (algorithm->data[7] != 0xabcdef || algorithm->data[0] > plain) return CUBLAS_STATUS_INVALID_VALUE;
  if (!serves(held<Product>(product), held<Layout>(d))) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (algorithm->data[0] == many_rows && held<Layout>(b).columns < least_rows) return CUBLAS_STATUS_NOT_SUPPORTED;
  result->workspaceSize = workspace_needed;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, void* value,
                                                    std::size_t bytes, std::size_t* written) {
  if (bytes != 4) return CUBLAS_STATUS_INVALID_VALUE;
  const bool pieces = algorithm->data[0] == split;
  const std::uint32_t answer =
      attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM ? (pieces ? 2 : 1) : CUBLASLT_REDUCTION_SCHEME_NONE;
  std::memcpy(value, &answer, bytes);
  *written = bytes;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t handle, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t stream) {
  const Product& product = held<Product>(handle);
  const bool accumulate = *static_cast<const float*>(beta) == 1;
  const Call call{product,
                  held<Layout>(a_layout),
                  held<Layout>(b_layout),
                  held<Layout>(d_layout),
                  a,
                  b,
                  d,
                  accumulate,
                  static_cast<Kind>(algorithm->data[0])};
  expect(*static_cast<const float*>(alpha) == 1 && (accumulate || *static_cast<const float*>(beta) == 0),
         "other factors than 1 and 0");
  expect(product.a == CUBLAS_OP_T && product.b == CUBLAS_OP_N, "operands that are not TN");
  expect(call.a.rows == call.b.rows && call.d.rows == call.a.columns && call.d.columns == call.b.columns,
         "shapes that do not fit");
  expect(call.a.type == call.b.type, "operands of two types");
  expect(c == d && c_layout == d_layout, "a sum that is not in place");
  expect_matrix(a, call.a, "a weight");
  expect_matrix(b, call.b, "a product's x");
  expect_matrix(d, call.d, "a product's result");
  expect_device_memory(workspace, static_cast<std::int64_t>(workspace_bytes), "the workspace");
  expect(workspace_bytes >= workspace_needed, "less workspace than the algorithm needs");
  expect(call.kind != split && (call.kind != many_rows || call.b.columns >= least_rows),
         "an algorithm that must not be chosen");
  if (product.epilogue == CUBLASLT_EPILOGUE_BIAS) {
    expect(product.bias_type == CUDA_R_32F && serves(product, call.d), "a bias that is not f32");
    expect_device_memory(product.bias, call.a.columns * 4, "a bias");
    ++counts().with_bias;
  }
  ++counts().products;
  counts().in_place += accumulate ? 1 : 0;
  submit(stream, [call] { call.run(); });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
