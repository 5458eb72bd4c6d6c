#include "device/cpu/gated_product.h"

#include <algorithm>
#include <numeric>

#include "thresher/base/clock.h"

namespace thresher::device::cpu {
namespace {

// Columns of a tile: of the gate's products, and as many of those that it multiplies. Both stay in the second cache.
// No part of the bits.
constexpr std::int64_t tile_columns = 256;
constexpr std::int64_t task_tiles = 2;  // of a large weight
constexpr std::int64_t int8_rows = 192;

std::int64_t groups_of(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

}  // namespace

// Columns of the output that a task computes: a whole piece where that is quantised.
struct GatedProducts::Span {
  std::int64_t first, end;
  std::int64_t columns() const { return end - first; }
};

struct GatedProducts::Task {
  std::int64_t row, rows;
  std::int64_t piece;  // of the spans
  Span span;
  int thread;
  char* own;        // scratch space of the products,
  char *gate, *up;  // a tile of either factor,
  char* gated;      // and what has to be quantised
};

std::vector<GatedProducts::Span> GatedProducts::spans_of(const Tensor& out, std::int64_t columns) {
  std::vector<Span> spans;
  if (out.dtype == DType::i8) {
    for (std::size_t p = 0; p + 1 < out.cuts.size(); ++p) spans.push_back({out.cuts[p], out.cuts[p + 1]});
  } else {
    for (std::int64_t c = 0; c < out.columns; c += columns) spans.push_back({c, std::min(c + columns, out.columns)});
  }
  return spans;
}

// Products of f32 or bf16.
class GatedProducts::Floats {
 public:
  Floats(GatedProducts& owner, const Tensor& x, const PackedWeight& weight, const End& end)
      : kernels_(owner.kernels_),
        x_(x),
        weight_(weight),
        bias_(end.bias.as<const float>()),
        division_(owner.products_.divide(x.rows, weight)),
        held_(owner.products_.held(weight.dtype())),
        own_(owner.products_.own()),
        stage_x_(x.dtype != held_ || (!own_ && x.stride != x.columns)),
        stage_out_(!own_ && held_ == DType::f32 && end.between == DType::bf16) {
    const std::int64_t width = weight.outputs() / 2, rest = width % tile_columns;
    for (const bool last_block : {false, true})
      for (const bool last_tile : {false, true}) {
        ProductShape shape{.rows = last_block ? x.rows - (division_.blocks - 1) * division_.block : division_.block,
                           .inputs = weight.inputs(),
                           .outputs = last_tile && rest > 0 ? rest : std::min(tile_columns, width),
                           .held = held_};
        if (!stage_out_) shape.out = end.between, shape.bias = bias_ != nullptr;
        products_[last_block][last_tile] = &owner.products_.of(shape, weight.columns(0, shape.outputs).get_desc());
      }
  }

  std::int64_t rows() const { return x_.rows; }
  std::int64_t block() const { return division_.block; }
  std::int64_t span() const {
    return division_.tiles > 1 ? task_tiles * tile_columns : std::max<std::int64_t>(1, weight_.outputs() / 2);
  }
  double ns_of_column() const { return static_cast<double>(division_.block * x_.columns) / 150; }
  std::int64_t bytes() const { return x_bytes() + (stage_out_ ? division_.block * tile_columns * 4 : 0); }

  Tensor take(std::int64_t row, std::int64_t rows, char* scratch) const {
    const Tensor x = x_.rows_from(row, rows);
    if (!stage_x_) return x;
    const Tensor dense = tensor::matrix(scratch, held_, rows, x.columns);
    kernels_.convert(rows_of(x), rows_of(dense), 0, rows);
    return dense;
  }

  // Columns of the weight from `column` on, as many as `to` has.
  void multiply(const Tensor& x, std::int64_t column, const Tensor& to, const Task& task) const {
    Product& product = *products_[x.rows != division_.block][to.columns != products_[0][0]->columns()];
    const dnnl::memory weight = weight_.columns(column, to.columns);
    const float* bias = bias_ ? bias_ + column : nullptr;
    if (!stage_out_) return product.run(task.thread, x, weight, bias, to);
    const Tensor dense = tensor::matrix(task.own + x_bytes(), DType::f32, to.rows, to.columns);
    product.run(task.thread, x, weight, nullptr, dense);
    kernels_.finish({rows_of(dense)}, bias, false, rows_of(to), 0, to.rows);
  }

 private:
  std::int64_t x_bytes() const { return stage_x_ ? aligned(division_.block * x_.columns * tensor::size_of(held_)) : 0; }

  const Kernels& kernels_;
  const Tensor& x_;
  const PackedWeight& weight_;
  const float* bias_;
  Division division_;
  DType held_;
  bool own_, stage_x_, stage_out_;
  Product* products_[2][2];  // by whether the block and the tile are the last
};

// Products of quantised rows with a weight of one piece.
class GatedProducts::Bytes {
 public:
  Bytes(GatedProducts& owner, const Tensor& x, const Int8Weight& weight, const End& end)
      : kernels_(owner.kernels_), x_(x), weight_(weight), bias_(end.bias.as<const float>()), block_(int8_rows) {
    const auto spans = static_cast<std::int64_t>(end.out.cuts.size()) - 1;
    while (block_ > 24 && groups_of(x.rows, block_) * spans < 4 * owner.crew_.threads()) block_ /= 2;
  }

  std::int64_t rows() const { return x_.rows; }
  std::int64_t block() const { return block_; }
  std::int64_t span() const { return 0; }
  double ns_of_column() const { return static_cast<double>(block_ * x_.columns) / 250; }
  std::int64_t bytes() const { return 0; }

  Tensor take(std::int64_t row, std::int64_t rows, char*) const { return x_.rows_from(row, rows); }

  void multiply(const Tensor& x, std::int64_t column, const Tensor& to, const Task&) const {
    const Int8Piece piece = columns_from(weight_, column);
    kernels_.multiply_int8({.x = quantised_rows(x),
                            .pieces = &piece,
                            .row = 0,
                            .rows = x.rows,
                            .column = 0,
                            .columns = to.columns,
                            .bias = bias_ ? bias_ + column : nullptr,
                            .accumulate = false,
                            .out = rows_of(to)});
  }

 private:
  const Kernels& kernels_;
  const Tensor& x_;
  const Int8Weight& weight_;
  const float* bias_;
  std::int64_t block_;
};

template <class Factors>
void GatedProducts::run(const Factors& factors, const End& end) {
  const std::int64_t block = factors.block(), blocks = groups_of(factors.rows(), block);
  const std::vector<Span> spans = spans_of(end.out, factors.span());
  std::int64_t widest = 0;
  for (const Span& span : spans) widest = std::max(widest, span.columns());
  const std::int64_t own = aligned(factors.bytes()),
                     tile = aligned(block * tile_columns * tensor::size_of(end.between)),
                     gated = end.out.dtype == DType::i8 ? aligned(block * widest * 4) : 0,
                     bytes = own + 2 * tile + gated;
  if (scratch_.bytes() < bytes * crew_.threads()) scratch_ = tensor::host_buffer(bytes * crew_.threads());
  const double ns = factors.ns_of_column() * static_cast<double>(widest);
  parallel_tasks(crew_, blocks * std::ssize(spans), ns, [&](std::int64_t task, int thread) {
    char* const at = static_cast<char*>(scratch_.data()) + thread * bytes;
    const Task here{.row = task % blocks * block,
                    .rows = std::min(block, factors.rows() - task % blocks * block),
                    .piece = task / blocks,
                    .span = spans[static_cast<std::size_t>(task / blocks)],
                    .thread = thread,
                    .own = at,
                    .gate = at + own,
                    .up = at + own + tile,
                    .gated = at + own + 2 * tile};
    gate_seconds_[static_cast<std::size_t>(thread)] += run(factors, here, end);
  });
}

// Returns the seconds that are not the products'.
template <class Factors>
double GatedProducts::run(const Factors& factors, const Task& task, const End& end) const {
  const bool quantised = end.out.dtype == DType::i8;
  const Span& span = task.span;
  const Tensor x = factors.take(task.row, task.rows, task.own), rows = end.out.rows_from(task.row, task.rows),
               out = quantised ? tensor::matrix(task.gated, DType::f32, task.rows, span.columns())
                               : rows.columns_from(span.first, span.columns());
  double seconds = 0;
  for (std::int64_t c = span.first; c < span.end; c += tile_columns) {
    const std::int64_t columns = std::min(tile_columns, span.end - c);
    const Tensor gate = tensor::matrix(task.gate, end.between, task.rows, columns),
                 up = tensor::matrix(task.up, end.between, task.rows, columns);
    factors.multiply(x, c, gate, task);
    factors.multiply(x, end.out.columns + c, up, task);
    const base::Stopwatch watch;
    kernels_.gate(rows_of(gate), rows_of(up), end.gate, rows_of(out.columns_from(c - span.first, columns)), 0,
                  task.rows);
    seconds += watch.seconds();
  }
  if (!quantised) return seconds;
  const base::Stopwatch watch;
  kernels_.quantise(rows_of(out), quantised_rows(rows), task.piece, task.piece + 1, 0, task.rows);
  return seconds + watch.seconds();
}

// Both factors' columns and those of a task have to begin where oneDNN's and our own blocks do.
bool GatedProducts::run(const Tensor& x, const Weight& weight, const End& end) {
  const auto inside = [](std::int64_t column) { return column % slab_columns != 0; };
  if (end.out.elements() == 0 || inside(end.out.columns) || std::ranges::any_of(end.out.cuts, inside)) return false;
  const auto* const bytes = dynamic_cast<const Int8Weight*>(&weight);
  if (bytes && x.dtype == DType::i8 && bytes->pieces().size() == 1 && end.out.dtype == DType::i8) {
    run(Bytes(*this, x, *bytes, end), end);
    return true;
  }
  const auto* const packed = dynamic_cast<const PackedWeight*>(&weight);
  if (!packed || end.out.dtype == DType::i8) return false;
  run(Floats(*this, x, *packed, end), end);
  return true;
}

double GatedProducts::gate_seconds() const {
  return std::accumulate(gate_seconds_.begin(), gate_seconds_.end(), 0.0) / static_cast<double>(gate_seconds_.size());
}

}  // namespace thresher::device::cpu
