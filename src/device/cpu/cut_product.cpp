#include "device/cpu/cut_product.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "thresher/base/check.h"

namespace thresher::device::cpu {
namespace {

// Columns whose partial sums stay in the cache. No part of the bits.
constexpr std::int64_t cut_tile = 256;
// Partial sums alive at once: the tree of eight pieces is walked depth first.
constexpr std::int64_t live_sums = 4;

void check_cuts(std::span<const std::int64_t> cuts, std::int64_t inputs) {
  const std::size_t pieces = cuts.size() - 1;
  if (cuts.size() < 2 || pieces > 8 || (pieces & (pieces - 1)) != 0 || cuts.front() != 0 || cuts.back() != inputs ||
      !std::is_sorted(cuts.begin(), cuts.end()))
    base::fail(base::Exit::internal,
               fmt::format("a weight of {} inputs is cut into 1, 2, 4 or 8 pieces by rising boundaries from 0 to {}; "
                           "{} were given",
                           inputs, inputs, cuts.size()));
}

}  // namespace

std::int64_t CutWeight::bytes() const {
  std::int64_t sum = 0;
  for (const Piece& piece : pieces_)
    if (piece.weight) sum += piece.weight->bytes();
  return sum;
}

std::unique_ptr<CutWeight> CutProducts::pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts) {
  const std::int64_t whole[] = {0, matrix.columns};
  if (cuts.empty()) cuts = whole;
  check_cuts(cuts, matrix.columns);
  std::vector<CutWeight::Piece> pieces;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    const std::int64_t first = cuts[i], inputs = cuts[i + 1] - first;
    pieces.push_back({first, nullptr});
    if (inputs > 0 && matrix.rows > 0)
      pieces.back().weight = products_.pack(matrix.columns_from(first, inputs), dtype, cut_tile);
  }
  return std::make_unique<CutWeight>(matrix.rows, matrix.columns, dtype, std::move(pieces));
}

// Some rows of a product on one thread.
struct CutProducts::Block {
  const CutWeight& weight;
  const Kernels& kernels;
  const std::vector<Product*>& plan;
  std::int64_t rows;
  bool last;  // of fewer rows than the others
  int thread;
  char* x;      // dense, piece by piece
  float* sums;  // live_sums buffers of rows x cut_tile
  DType held;
};

// The sum of one tile of columns.
class CutProducts::Tree {
 public:
  Tree(const Block& block, std::int64_t tile, std::int64_t columns) : block_(block), tile_(tile), columns_(columns) {}

  // The root's last addition is made with the end's.
  void run(const ProductEnd& end, std::int64_t first_row) const {
    const auto pieces = static_cast<std::int64_t>(block_.weight.pieces().size());
    sum(0, pieces, 0);
    const Tensor out = end.out.rows_from(first_row, block_.rows).columns_from(tile_ * cut_tile, columns_);
    const float* bias = end.bias ? end.bias.as<const float>() + tile_ * cut_tile : nullptr;
    block_.kernels.finish(rows_of(buffer(0)), bias, end.accumulate, rows_of(out), 0, block_.rows);
  }

 private:
  Tensor buffer(std::int64_t index) const {
    return tensor::matrix(block_.sums + index * block_.rows * cut_tile, DType::f32, block_.rows, columns_);
  }

  const CutWeight::Piece& piece(std::int64_t index) const {
    return block_.weight.pieces()[static_cast<std::size_t>(index)];
  }

  // The product of one piece into, or (onto) added to, a buffer.
  void leaf(std::int64_t index, std::int64_t to, bool onto) const {
    const PackedWeight* weight = piece(index).weight.get();
    if (!weight) {
      std::memset(buffer(to).data, 0, static_cast<std::size_t>(block_.rows * columns_) * 4);
      return;
    }
    const bool last_tile = tile_ == weight->tiles() - 1;
    const auto at = static_cast<std::size_t>(index * 8 + block_.last * 4 + last_tile * 2 + onto);
    const char* x = block_.x + piece(index).first * block_.rows * tensor::size_of(block_.held);
    block_.plan[at]->run(block_.thread, x, weight->tile(tile_), nullptr, buffer(to).data);
  }

  // The tree of `count` pieces into buffer `to`; those after it are free.
  void sum(std::int64_t first, std::int64_t count, std::int64_t to) const {
    if (count == 1) return leaf(first, to, false);
    if (count == 2 && piece(first + 1).weight && block_.plan[static_cast<std::size_t>((first + 1) * 8 + 1)]) {
      leaf(first, to, false);
      return leaf(first + 1, to, true);
    }
    sum(first, count / 2, to);
    sum(first + count / 2, count / 2, to + 1);
    block_.kernels.finish(rows_of(buffer(to + 1)), nullptr, true, rows_of(buffer(to)), 0, block_.rows);
  }

  const Block& block_;
  std::int64_t tile_, columns_;
};

void CutProducts::plan(const Tensor& x, const CutWeight& weight, std::int64_t block) {
  const DType held = products_.held(weight.dtype());
  plan_.assign(weight.pieces().size() * 8, nullptr);
  for (std::size_t i = 0; i < weight.pieces().size(); ++i) {
    const PackedWeight* piece = weight.pieces()[i].weight.get();
    if (!piece) continue;
    for (const bool last_rows : {false, true})
      for (const bool last_tile : {false, true})
        for (const bool onto : {false, true}) {
          const std::int64_t tile = last_tile ? piece->tiles() - 1 : 0, rest = x.rows % block;
          if (onto && (i % 2 == 0 || products_.plain())) continue;
          plan_[i * 8 + last_rows * 4u + last_tile * 2u + onto] =
              &products_.of({.rows = last_rows && rest > 0 ? rest : block,
                             .inputs = piece->inputs(),
                             .outputs = piece->tile_columns(tile),
                             .held = held,
                             .accumulate = onto},
                            piece->tile(tile).get_desc());
        }
  }
}

void CutProducts::run(const Tensor& x, const CutWeight& weight, const ProductEnd& end) {
  const std::int64_t block = std::min(products_.block_rows(x.rows), x.rows),
                     tiles = (weight.outputs() + cut_tile - 1) / cut_tile;
  const DType held = products_.held(weight.dtype());
  plan(x, weight, block);
  const std::int64_t x_bytes = (block * x.columns * tensor::size_of(held) + 63) / 64 * 64,
                     bytes = x_bytes + live_sums * block * cut_tile * 4;
  if (scratch_.bytes() < bytes * crew_.threads()) scratch_ = tensor::host_buffer(bytes * crew_.threads());
  const double ns = static_cast<double>(block * x.columns * weight.outputs()) / 300;
  parallel_tasks(crew_, (x.rows + block - 1) / block, ns, [&](std::int64_t task, int thread) {
    const std::int64_t first = task * block, rows = std::min(block, x.rows - first);
    char* staged = static_cast<char*>(scratch_.data()) + thread * bytes;
    for (const CutWeight::Piece& piece : weight.pieces()) {
      if (!piece.weight) continue;
      const std::int64_t inputs = piece.weight->inputs();
      const Tensor dense = tensor::matrix(staged + piece.first * rows * tensor::size_of(held), held, rows, inputs);
      kernels_.convert(rows_of(x.rows_from(first, rows).columns_from(piece.first, inputs)), rows_of(dense), 0, rows);
    }
    const Block here{.weight = weight,
                     .kernels = kernels_,
                     .plan = plan_,
                     .rows = rows,
                     .last = rows < block,
                     .thread = thread,
                     .x = staged,
                     .sums = reinterpret_cast<float*>(staged + x_bytes),
                     .held = held};
    for (std::int64_t tile = 0; tile < tiles; ++tile)
      Tree(here, tile, std::min(cut_tile, weight.outputs() - tile * cut_tile)).run(end, first);
  });
}

}  // namespace thresher::device::cpu
