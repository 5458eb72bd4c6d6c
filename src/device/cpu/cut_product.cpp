#include "device/cpu/cut_product.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "device/cpu/isa.h"
#include "thresher/base/check.h"

namespace thresher::device::cpu {
namespace {

// A call of oneDNN costs too much for pieces of at most so many inputs. A piece's own length alone decides: its bits
// must not depend on how many others a device holds, nor on its columns.
constexpr std::int64_t short_piece = 192;

// Rows and columns of partial sums. No part of the bits.
constexpr std::int64_t short_rows = 24;  // of short pieces: their sums stay in the first cache
constexpr std::int64_t wide_columns = 256;
static_assert(vocabulary_tile % wide_columns == 0);
// Partial sums: of each two of eight pieces.
constexpr std::int64_t most_sums = 4;
// Of a block's rows that stay in the second cache, beside a slab and its sums.
constexpr std::int64_t cached_bytes = 512 << 10;

// [outputs, inputs] of f32 words or of words of two bf16 as slabs of [words][slab_columns].
Buffer slabs_of(const Tensor& matrix, Crew& crew) {
  const std::int64_t numbers = matrix.dtype == DType::bf16 ? 2 : 1, depth = (matrix.columns + numbers - 1) / numbers;
  const std::int64_t slabs = (matrix.rows + slab_columns - 1) / slab_columns, slab_words = depth * slab_columns;
  Buffer buffer = tensor::host_buffer(slabs * slab_words * 4);
  const std::int64_t size = tensor::size_of(matrix.dtype);
  parallel_rows(crew, slabs, static_cast<double>(slab_words), [&](std::int64_t first, std::int64_t last) {
    char* slab = static_cast<char*>(buffer.data()) + first * slab_words * 4;
    std::memset(slab, 0, static_cast<std::size_t>((last - first) * slab_words * 4));
    for (std::int64_t n = first * slab_columns; n < std::min(last * slab_columns, matrix.rows); ++n) {
      const char* row = static_cast<const char*>(matrix.rows_from(n, 1).data);
      char* column = slab + ((n / slab_columns - first) * slab_words + n % slab_columns) * 4;
      for (std::int64_t k = 0; k < matrix.columns; ++k)
        std::memcpy(column + k / numbers * slab_columns * 4 + k % numbers * size, row + k * size,
                    static_cast<std::size_t>(size));
    }
  });
  return buffer;
}

}  // namespace

void check_cuts(std::span<const std::int64_t> cuts, std::int64_t inputs) {
  const std::size_t pieces = cuts.size() - 1;
  if (cuts.size() < 2 || pieces > 8 || !std::has_single_bit(pieces) || cuts.front() != 0 || cuts.back() != inputs ||
      !std::is_sorted(cuts.begin(), cuts.end()))
    base::fail(base::Exit::internal,
               fmt::format("a weight of {} inputs is cut into 1, 2, 4 or 8 pieces by rising boundaries from 0 to {}; "
                           "{} were given",
                           inputs, inputs, cuts.size()));
}

CutWeight::CutWeight(std::int64_t outputs, std::int64_t inputs, DType dtype, std::vector<Piece> pieces)
    : outputs_(outputs),
      inputs_(inputs),
      dtype_(dtype),
      pieces_(std::move(pieces)),
      all_slabs_(std::ranges::none_of(pieces_, [](const Piece& p) { return p.packed != nullptr; })) {
  for (const Piece& piece : pieces_) longest_ = std::max(longest_, piece.inputs);
}

std::int64_t CutWeight::bytes() const {
  std::int64_t sum = 0;
  for (const Piece& piece : pieces_) sum += piece.packed ? piece.packed->bytes() : piece.slabs.bytes();
  return sum;
}

// oneDNN's products of bf16 without a matrix unit are slower than ours, whose partial sums stay where the next piece
// finds them.
bool CutProducts::by_library(std::int64_t inputs, DType dtype) const {
  return inputs > short_piece && !products_.own() && (products_.held(dtype) == DType::f32 || has_matrix_unit());
}

std::unique_ptr<CutWeight> CutProducts::pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts) {
  const std::int64_t whole[] = {0, matrix.columns};
  if (cuts.empty()) cuts = whole;
  check_cuts(cuts, matrix.columns);
  std::vector<CutWeight::Piece> pieces;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    CutWeight::Piece piece{cuts[i], cuts[i + 1] - cuts[i], {}, {}};
    const Tensor part = matrix.columns_from(piece.first, piece.inputs);
    if (matrix.rows > 0 && by_library(piece.inputs, dtype)) {
      piece.packed = products_.pack(part, dtype, wide_columns);
    } else if (piece.inputs > 0 && matrix.rows > 0) {
      Buffer copy;
      piece.slabs = slabs_of(products_.rounded(part, dtype, copy), crew_);
    }
    pieces.push_back(std::move(piece));
  }
  return std::make_unique<CutWeight>(matrix.rows, matrix.columns, dtype, std::move(pieces));
}

// A block of rows on one thread.
class CutProducts::Task {
 public:
  Task(const CutProducts& owner, const Tensor& x, const CutWeight& weight, const ProductEnd& end,
       const Division& division)
      : kernels_(owner.kernels_),
        plan_(owner.plan_),
        x_(x),
        weight_(weight),
        end_(end),
        division_(division),
        held_(owner.products_.held(weight.dtype())) {}

  // Bytes of scratch space: rows of x that cannot be taken where they lie, and partial sums.
  std::int64_t staged_bytes() const { return aligned(division_.block * x_.columns * tensor::size_of(held_)); }
  std::int64_t bytes() const { return staged_bytes() + most_sums * division_.block * wide_columns * 4; }

  void run(std::int64_t task, int thread, char* scratch) {
    first_ = division_.first_row(task);
    rows_ = division_.rows_of(task);
    thread_ = thread;
    staged_ = scratch;
    sums_ = reinterpret_cast<float*>(scratch + staged_bytes());
    stage();
    const std::int64_t rows = weight_.longest() <= short_piece ? short_rows : rows_,
                       columns = weight_.all_slabs() && staged_bytes() <= cached_bytes ? slab_columns : wide_columns;
    const std::int64_t column = division_.first_column(task), end = column + division_.columns_of(task);
    for (std::int64_t c = column; c < end; c += columns)
      for (std::int64_t r = 0; r < rows_; r += rows) sum({r, std::min(rows, rows_ - r), c, std::min(columns, end - c)});
  }

 private:
  struct Part {
    std::int64_t row, rows, column, columns;  // rows count from the task's first
  };

  bool in_place(const CutWeight::Piece& piece) const { return !piece.packed && x_.dtype == held_; }
  Tensor rows_of_x(const CutWeight::Piece& piece) const {
    if (in_place(piece)) return x_.rows_from(first_, rows_).columns_from(piece.first, piece.inputs);
    return tensor::matrix(staged_ + piece.first * rows_ * tensor::size_of(held_), held_, rows_, piece.inputs);
  }
  // Row by row: x is read from one end to the other.
  void stage() const {
    for (std::int64_t r = 0; r < rows_; ++r)
      for (const CutWeight::Piece& piece : weight_.pieces()) {
        if (piece.inputs == 0 || in_place(piece)) continue;
        const Tensor from = x_.rows_from(first_ + r, 1).columns_from(piece.first, piece.inputs),
                     to = rows_of_x(piece).rows_from(r, 1);
        if (from.dtype == to.dtype) {
          std::memcpy(to.data, from.data, static_cast<std::size_t>(piece.inputs * tensor::size_of(held_)));
        } else {
          kernels_.convert(rows_of(from), rows_of(to), 0, 1);
        }
      }
  }
  float* buffer(const Part& part, std::int64_t index) const { return sums_ + index * part.rows * part.columns; }

  // Every second piece is added to the one before it; those pairs are added up at the end.
  void sum(const Part& part) const {
    const std::int64_t pieces = static_cast<std::int64_t>(weight_.pieces().size());
    for (std::int64_t i = 0; i < pieces; ++i) add_piece(part, i);
    const Tensor out = end_.out.rows_from(first_ + part.row, part.rows).columns_from(part.column, part.columns);
    const Tensor sums = tensor::matrix(buffer(part, 0), DType::f32, part.rows, part.columns);
    const float* bias = end_.bias ? end_.bias.as<const float>() + part.column : nullptr;
    kernels_.finish({rows_of(sums), static_cast<int>((pieces + 1) / 2), part.rows * part.columns}, bias,
                    end_.accumulate, rows_of(out), 0, part.rows);
  }

  void add_piece(const Part& part, std::int64_t index) const {
    const CutWeight::Piece& piece = weight_.pieces()[static_cast<std::size_t>(index)];
    const bool second = index % 2 == 1;
    float* pair = buffer(part, index / 2);
    const Tensor to = tensor::matrix(pair, DType::f32, part.rows, part.columns);
    if (piece.slabs.bytes() > 0) {
      multiply_slabs(piece, part, second, to);
    } else if (piece.packed) {
      const std::int64_t tile = part.column / wide_columns;
      const bool last_tile = tile == piece.packed->tiles() - 1;
      plan_[static_cast<std::size_t>(index * 4 + (rows_ < division_.block) * 2 + last_tile)]->run(
          thread_, rows_of_x(piece), piece.packed->tile(tile), nullptr, to);
    } else if (!second) {
      std::fill_n(pair, to.elements(), 0.0f);
    } else {  // -0 becomes 0, as where another device has the piece before
      std::transform(pair, pair + to.elements(), pair, [](float sum) { return sum + 0.0f; });
    }
  }

  void multiply_slabs(const CutWeight::Piece& piece, const Part& part, bool accumulate, const Tensor& out) const {
    const Tensor x = rows_of_x(piece).rows_from(part.row, part.rows);
    const std::int64_t numbers = held_ == DType::bf16 ? 2 : 1, depth = (piece.inputs + numbers - 1) / numbers;
    kernels_.multiply_slabs({.x = x.data,
                             .x_bytes = x.stride * tensor::size_of(held_),
                             .bf16 = held_ == DType::bf16,
                             .inputs = piece.inputs,
                             .w = static_cast<const std::uint32_t*>(piece.slabs.data()) + part.column * depth,
                             .depth = depth,
                             .rows = part.rows,
                             .bias = nullptr,
                             .accumulate = accumulate,
                             .out = rows_of(out)});
  }

  const Kernels& kernels_;
  const std::vector<Product*>& plan_;
  const Tensor& x_;
  const CutWeight& weight_;
  const ProductEnd& end_;
  const Division& division_;
  DType held_;
  std::int64_t first_ = 0, rows_ = 0;
  int thread_ = 0;
  char* staged_ = nullptr;
  float* sums_ = nullptr;
};

void CutProducts::plan(std::int64_t rows, const CutWeight& weight, std::int64_t block) {
  plan_.assign(weight.pieces().size() * 4, nullptr);
  for (std::size_t i = 0; i < weight.pieces().size(); ++i) {
    const PackedWeight* piece = weight.pieces()[i].packed.get();
    if (!piece) continue;
    for (const std::size_t row : {0u, 1u})
      for (const std::size_t column : {0u, 1u}) {
        const std::int64_t tile = column ? piece->tiles() - 1 : 0, rest = rows % block;
        plan_[i * 4 + row * 2 + column] = &products_.of({.rows = row && rest > 0 ? rest : block,
                                                         .inputs = piece->inputs(),
                                                         .outputs = piece->tile_columns(tile),
                                                         .held = products_.held(weight.dtype()),
                                                         .accumulate = i % 2 == 1},
                                                        piece->tile(tile).get_desc());
      }
  }
}

void CutProducts::run(const Tensor& x, const CutWeight& weight, const ProductEnd& end) {
  // Slabs are read as often as there are blocks, but slower where a block's rows do not stay in the second cache.
  const bool cached = 256 * x.columns * tensor::size_of(products_.held(weight.dtype())) <= cached_bytes;
  const Division division = products_.divide(x.rows, weight, weight.all_slabs() && !cached ? 128 : 256);
  plan(x.rows, weight, division.block);
  const Task task(*this, x, weight, end, division);
  if (scratch_.bytes() < task.bytes() * crew_.threads()) scratch_ = tensor::host_buffer(task.bytes() * crew_.threads());
  const double ns = static_cast<double>(division.block * x.columns * division.tile) / 300;
  parallel_tasks(crew_, division.tasks(), ns, [&](std::int64_t index, int thread) {
    Task here = task;
    here.run(index, thread, static_cast<char*>(scratch_.data()) + thread * task.bytes());
  });
}

}  // namespace thresher::device::cpu
