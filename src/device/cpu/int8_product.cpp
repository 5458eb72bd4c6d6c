#include "device/cpu/int8_product.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "device/cpu/cut_product.h"
#include "device/cpu/product.h"
#include "device/operands.h"
#include "thresher/base/check.h"
#include "thresher/base/half.h"

namespace thresher::device::cpu {
namespace {

// Rows and columns of a task: columns such that what a block of rows meets stays in the second cache.
constexpr std::int64_t most_rows = 192, most_columns = 256;

float number(const Tensor& matrix, std::int64_t r, std::int64_t c) {
  if (matrix.dtype == DType::f32) return matrix.row<const float>(r)[c];
  const std::uint16_t bits = matrix.row<const std::uint16_t>(r)[c];
  return matrix.dtype == DType::bf16 ? base::from_bf16(bits) : base::from_f16(bits);
}

// One piece's numbers while they are written.
struct Draft {
  std::int64_t first, inputs;
  char* slabs;
  float* scales;
  std::int32_t* sums;

  void write(const Tensor& matrix, std::int64_t n) const {
    float greatest = 0;
    for (std::int64_t k = 0; k < inputs; ++k) greatest = std::max(greatest, std::abs(number(matrix, n, first + k)));
    const bool any = greatest > 1e-30f;  // what is smaller has no inverse
    const float inverse = any ? 127 / greatest : 0;
    const std::int64_t depth = (inputs + 3) / 4;
    char* column = slabs + (n / slab_columns * depth * slab_columns + n % slab_columns) * 4;
    std::int32_t sum = 0;
    for (std::int64_t k = 0; k < inputs; ++k) {
      const long rounded = std::lrintf(number(matrix, n, first + k) * inverse);
      const auto byte = static_cast<std::int8_t>(std::clamp(rounded, -127L, 127L));
      column[k / 4 * slab_columns * 4 + k % 4] = static_cast<char>(byte);
      sum += byte;
    }
    scales[n] = any ? greatest / 127 : 0;
    sums[n] = 128 * sum;
  }
};

}  // namespace

Int8Weight::Int8Weight(const Tensor& matrix, std::span<const std::int64_t> cuts, Crew& crew)
    : outputs_(matrix.rows), cuts_(cuts.begin(), cuts.end()) {
  if (cuts_.empty()) cuts_ = {0, matrix.columns};
  check_cuts(cuts_, matrix.columns);
  const std::int64_t columns = (outputs_ + slab_columns - 1) / slab_columns * slab_columns;
  std::vector<std::int64_t> slab_bytes;
  std::int64_t bytes = 0;
  for (std::size_t p = 0; p + 1 < cuts_.size(); ++p) {
    const std::int64_t inputs = cuts_[p + 1] - cuts_[p];
    if (inputs > tensor::most_quantised_inputs)
      base::fail(base::Exit::config, fmt::format("products in int8 sum at most {} inputs exactly, a weight has {}: use "
                                                 "--dtype bf16",
                                                 tensor::most_quantised_inputs, inputs));
    slab_bytes.push_back(aligned((inputs + 3) / 4 * 4 * columns));
    bytes += slab_bytes.back() + 2 * aligned(columns * 4);
  }
  memory_ = tensor::host_buffer(bytes);
  std::memset(memory_.data(), 0, static_cast<std::size_t>(bytes));
  std::vector<Draft> drafts;
  char* at = static_cast<char*>(memory_.data());
  for (std::size_t p = 0; p + 1 < cuts_.size(); ++p) {
    char* scales = at + slab_bytes[p];
    char* sums = scales + aligned(columns * 4);
    drafts.push_back({cuts_[p], cuts_[p + 1] - cuts_[p], at, reinterpret_cast<float*>(scales),
                      reinterpret_cast<std::int32_t*>(sums)});
    const Draft& draft = drafts.back();
    pieces_.push_back(
        {draft.first, draft.inputs, reinterpret_cast<const std::uint32_t*>(at), draft.scales, draft.sums});
    at = sums + aligned(columns * 4);
  }
  parallel_rows(crew, outputs_, static_cast<double>(matrix.columns) * 4, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t n = first; n < last; ++n)
      for (const Draft& draft : drafts) draft.write(matrix, n);
  });
}

QuantisedRows quantised_rows(const Tensor& x) {
  expect(x.dtype == DType::i8 && x.pieces && x.cuts.size() >= 2 && x.cuts.front() == 0 && x.cuts.back() == x.columns,
         "quantised rows");
  return {x.as<std::uint8_t>(), x.stride, x.pieces, x.cuts.data(), static_cast<std::int64_t>(x.cuts.size()) - 1};
}

Int8Piece columns_from(const Int8Weight& weight, std::int64_t first) {
  Int8Piece piece = weight.pieces().front();
  piece.slabs += first * ((piece.inputs + 3) / 4);
  piece.scales += first;
  piece.sums += first;
  return piece;
}

void Int8Products::run(const Tensor& x, const Int8Weight& weight, const End& end) {
  Tensor rows = x;
  if (x.dtype != DType::i8) {
    const std::int64_t width = aligned(x.columns), pieces = static_cast<std::int64_t>(weight.pieces().size());
    if (numbers_.bytes() < x.rows * width) numbers_ = tensor::host_buffer(x.rows * width);
    const std::int64_t bytes = x.rows * pieces * static_cast<std::int64_t>(sizeof(QuantisedPiece));
    if (pieces_.bytes() < bytes) pieces_ = tensor::host_buffer(bytes);
    rows = {.data = numbers_.data(),
            .dtype = DType::i8,
            .rows = x.rows,
            .columns = x.columns,
            .stride = width,
            .pieces = static_cast<QuantisedPiece*>(pieces_.data()),
            .cuts = weight.cuts()};
    parallel_rows(crew_, x.rows, static_cast<double>(x.columns) / 8, [&](std::int64_t first, std::int64_t last) {
      kernels_.quantise(rows_of(x), quantised_rows(rows), 0, pieces, first, last);
    });
  }
  expect(std::equal(rows.cuts.begin(), rows.cuts.end(), weight.cuts().begin(), weight.cuts().end()),
         "activations quantised in other pieces than the weight's");
  Int8Args args{.x = quantised_rows(rows),
                .pieces = weight.pieces().data(),
                .row = 0,
                .rows = 0,
                .column = 0,
                .columns = 0,
                .bias = end.bias.as<const float>(),
                .accumulate = end.accumulate,
                .out = rows_of(end.out)};
  // Blocks of about equal height, several for every thread.
  const std::int64_t groups = (weight.outputs() + most_columns - 1) / most_columns;
  std::int64_t height = most_rows;
  while (height > 24 && (x.rows + height - 1) / height * groups < 4 * crew_.threads()) height /= 2;
  const std::int64_t blocks = (x.rows + height - 1) / height;
  const double ns = static_cast<double>(height * x.columns) * static_cast<double>(most_columns) / 500;
  // Threads are at the same columns at a time.
  parallel_tasks(crew_, groups * blocks, ns, [&](std::int64_t task, int) {
    Int8Args here = args;
    here.row = task % blocks * height;
    here.rows = std::min(height, x.rows - here.row);
    here.column = task / blocks * most_columns;
    here.columns = std::min(most_columns, weight.outputs() - here.column);
    kernels_.multiply_int8(here);
  });
}

}  // namespace thresher::device::cpu
