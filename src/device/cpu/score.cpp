#include "device/cpu/score.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "device/cpu/crew.h"

namespace thresher::device::cpu {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr float infinity = std::numeric_limits<float>::infinity();
static_assert(cpu::log2_e == device::log2_e);

// The best of tiles' sorted lists, tiles in rising order; `count` are there already.
void take(std::int32_t* ids, float* logits, std::int64_t top, std::int64_t& count, const TopEntry& entry) {
  if (count == top && !(entry.logit > logits[top - 1])) return;
  std::int64_t at = count < top ? count++ : top - 1;
  for (; at > 0 && logits[at - 1] < entry.logit; --at) {
    logits[at] = logits[at - 1];
    ids[at] = ids[at - 1];
  }
  logits[at] = entry.logit;
  ids[at] = entry.id;
}

void no_best(const ScoreParts& parts, std::int64_t row, std::int64_t from) {
  std::fill(parts.top_id.row<std::int32_t>(row) + from, parts.top_id.row<std::int32_t>(row) + parts.top_id.columns, -1);
  std::fill(parts.top_logit.row<float>(row) + from, parts.top_logit.row<float>(row) + parts.top_id.columns, -infinity);
}

// Tiles in rising order, in f64, in powers of two relative to the greatest logit of all; `stride` lies between two.
SoftmaxPart merged(const TilePart* parts, std::int64_t stride, std::int64_t tiles) {
  double highest = -std::numeric_limits<double>::infinity();
  for (std::int64_t tile = 0; tile < tiles; ++tile)
    highest = std::max(highest, static_cast<double>(parts[tile * stride].reference));
  double sum = 0, weighted = 0;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const TilePart& one = parts[tile * stride];
    if (one.reference == -infinity && one.sum == 0) continue;
    const double shift = static_cast<double>(one.reference) - highest, factor = std::exp2(shift);
    sum += one.sum * factor;
    weighted += factor * (one.weighted + one.sum * shift);
  }
  return {static_cast<float>(highest), static_cast<float>(sum), static_cast<float>(weighted)};
}

std::int64_t tiles_of(const Weight& head) {
  return (head.outputs() + vocabulary_tile - 1) / vocabulary_tile;
}

}  // namespace

// Some of the rows, with everything that their tiles need.
struct Score::Chunk {
  Tensor hidden;
  const Weight& head;
  const ScoreQuestion& question;
  const ScoreParts& out;
  std::int64_t first;  // row of the outputs
  std::int64_t rows;
  std::int64_t tile_top;  // entries that a tile keeps per row

  std::int64_t top() const { return out.top_id.columns; }
  std::int64_t tiles() const { return tiles_of(head); }
  std::int64_t tile_columns(std::int64_t tile) const {
    return std::min(vocabulary_tile, head.outputs() - tile * vocabulary_tile);
  }
  std::int64_t blocks() const { return (rows + row_block - 1) / row_block; }
  std::int64_t block_rows(std::int64_t block) const { return std::min(row_block, rows - block * row_block); }
  Tensor block(std::int64_t index) const { return hidden.rows_from(index * row_block, block_rows(index)); }
};

Product& Score::product_of(const Tensor& hidden, const PackedWeight& head, std::int64_t rows, std::int64_t columns,
                           const dnnl::memory::desc& layout) {
  return products_.of({.rows = rows, .inputs = head.inputs(), .outputs = columns, .held = hidden.dtype}, layout);
}

void Score::size(std::int64_t rows, std::int64_t tiles, std::int64_t top) {
  const auto threads = static_cast<std::size_t>(crew_.threads());
  if (logits_.empty()) {
    product_seconds_.resize(threads);
    for (std::size_t i = 0; i < threads; ++i) logits_.push_back(tensor::host_buffer(row_block * vocabulary_tile * 4));
    gathered_.resize(threads);
  }
  const auto fit = [](auto& list, std::int64_t count) {
    if (static_cast<std::int64_t>(list.size()) < count) list.resize(static_cast<std::size_t>(count));
  };
  fit(parts_, rows * tiles);
  fit(entries_, rows * tiles * top);
  fit(floors_, rows);
}

void Score::size_gathered(const PackedWeight& head) {
  const std::int64_t gathered = static_cast<std::int64_t>(head.gathered_layout(row_block).get_size());
  for (Buffer& buffer : gathered_)
    if (buffer.bytes() < gathered) {
      buffer = tensor::host_buffer(gathered);
      std::memset(buffer.data(), 0, static_cast<std::size_t>(gathered));
    }
}

// The same products as the tiles', on a gathered tile.
void Score::target_logits(const Tensor& hidden, const PackedWeight& head, const std::int32_t* targets,
                          std::int64_t first_id, float* out) {
  size(0, 0, 0);
  size_gathered(head);
  const dnnl::memory::desc layout = head.gathered_layout(row_block);
  const std::int64_t blocks = (hidden.rows + row_block - 1) / row_block;
  const auto rows_of_block = [&](std::int64_t block) { return std::min(row_block, hidden.rows - block * row_block); };
  Product& full = product_of(hidden, head, row_block, row_block, layout);
  Product& last = product_of(hidden, head, rows_of_block(blocks - 1), row_block, layout);
  const auto column_of = [&](std::int64_t row) {
    const std::int64_t column = targets[row] - first_id;
    return column < head.outputs() ? column : std::int64_t{-1};
  };
  const double ns = static_cast<double>(row_block * head.inputs());
  parallel_tasks(crew_, blocks, ns, [&](std::int64_t block, int thread) {
    const auto slot = static_cast<std::size_t>(thread);
    const std::int64_t rows = rows_of_block(block), first = block * row_block;
    bool any = false;
    for (std::int64_t r = 0; r < rows; ++r)
      if (const std::int64_t column = column_of(first + r); column >= 0) {
        head.gather(column, r, gathered_[slot].data());
        any = true;
      }
    if (!any) return;
    const dnnl::memory weight(layout, products_.engine(), gathered_[slot].data());
    float* logits = static_cast<float*>(logits_[slot].data());
    (rows == row_block ? full : last)
        .run(thread, hidden.rows_from(first, rows), weight, nullptr,
             tensor::matrix(logits, DType::f32, rows, row_block));
    for (std::int64_t r = 0; r < rows; ++r)
      if (column_of(first + r) >= 0) out[first + r] = logits[r * row_block + r];
  });
}

// The target's column and its neighbours, as the tile's product has them: sums of bytes are exact, and what follows is
// each column's own.
void Score::target_logits(const Tensor& hidden, const Int8Weight& head, const std::int32_t* targets,
                          std::int64_t first_id, float* out) {
  const double ns = static_cast<double>(slab_columns * head.inputs()) / 500;
  parallel_rows(crew_, hidden.rows, ns, [&](std::int64_t first, std::int64_t last) {
    float slab[slab_columns];
    for (std::int64_t r = first; r < last; ++r) {
      const std::int64_t column = targets[r] - first_id;
      if (column < 0 || column >= head.outputs()) continue;
      const std::int64_t from = column / slab_columns * slab_columns;
      const Int8Piece piece = columns_from(head, from);
      kernels_.multiply_int8({.x = quantised_rows(hidden.rows_from(r, 1)),
                              .pieces = &piece,
                              .row = 0,
                              .rows = 1,
                              .column = 0,
                              .columns = std::min(slab_columns, head.outputs() - from),
                              .bias = nullptr,
                              .accumulate = false,
                              .out = {slab, slab_columns, slab_columns, false}});
      out[r] = slab[column - from];
    }
  });
}

Score::TileProduct Score::product(const Chunk& chunk, const PackedWeight& head) {
  const std::int64_t blocks = chunk.blocks(), tiles = chunk.tiles();
  std::array<std::array<Product*, 2>, 2> products{};
  for (std::size_t row = 0; row < 2; ++row)
    for (std::size_t column = 0; column < 2; ++column) {
      const std::int64_t tile = column ? tiles - 1 : 0;
      products[row][column] = &product_of(chunk.hidden, head, chunk.block_rows(row ? blocks - 1 : 0),
                                          chunk.tile_columns(tile), head.tile(tile).get_desc());
    }
  return [&chunk, &head, products, blocks, tiles](int thread, std::int64_t block, std::int64_t tile, float* logits) {
    products[block == blocks - 1][tile == tiles - 1]->run(
        thread, chunk.block(block), head.tile(tile), nullptr,
        tensor::matrix(logits, DType::f32, chunk.block_rows(block), chunk.tile_columns(tile)));
  };
}

Score::TileProduct Score::product(const Chunk& chunk, const Int8Weight& head) const {
  return [this, &chunk, &head](int, std::int64_t block, std::int64_t tile, float* logits) {
    const Int8Piece piece = columns_from(head, tile * vocabulary_tile);
    const std::int64_t columns = chunk.tile_columns(tile);
    kernels_.multiply_int8({.x = quantised_rows(chunk.hidden.rows_from(block * row_block, chunk.block_rows(block))),
                            .pieces = &piece,
                            .row = 0,
                            .rows = chunk.block_rows(block),
                            .column = 0,
                            .columns = columns,
                            .bias = nullptr,
                            .accumulate = false,
                            .out = {logits, columns, columns, false}});
  };
}

// Tasks are ordered by tile, so that all threads read one tile's weights at a time.
void Score::tiles(const Chunk& chunk, const TileProduct& product) {
  const std::int64_t blocks = chunk.blocks(), tiles = chunk.tiles();
  const float* expected = chunk.question.target_logits.as<const float>();
  const double ns = static_cast<double>(chunk.block_rows(0) * chunk.head.inputs() * chunk.tile_columns(0)) / 300;
  parallel_tasks(crew_, blocks * tiles, ns, [&](std::int64_t task, int thread) {
    const auto slot = static_cast<std::size_t>(thread);
    const std::int64_t tile = task / blocks, block = task % blocks, first = block * row_block;
    float* logits = static_cast<float*>(logits_[slot].data());
    const double start = now();
    product(thread, block, tile, logits);
    product_seconds_[slot] += now() - start;

    float floors[row_block];
    for (std::int64_t r = 0; r < chunk.block_rows(block); ++r)
      floors[r] = std::atomic_ref<float>(floors_[static_cast<std::size_t>(first + r)]).load(std::memory_order_relaxed);
    const std::int64_t at = tile * chunk.rows + first;
    TopEntry* entries = entries_.data() + at * chunk.tile_top;
    kernels_.score({.logits = logits,
                    .rows = chunk.block_rows(block),
                    .columns = chunk.tile_columns(tile),
                    .first_id = static_cast<std::int32_t>(chunk.question.first_id + tile * vocabulary_tile),
                    .targets = chunk.question.targets.as<const std::int32_t>() + chunk.first + first,
                    .target_logits = expected ? expected + chunk.first + first : nullptr,
                    .entropy = static_cast<bool>(chunk.out.weighted),
                    .top = chunk.tile_top,
                    .top_floor = floors,
                    .found = chunk.out.found.as<float>() + chunk.first + first,
                    .parts = parts_.data() + at,
                    .entries = entries});
    if (chunk.tile_top == 0 || chunk.tile_top < chunk.top()) return;
    // A tile with K entries bounds the K best from below. Another thread's bound is as good: a lost update costs time
    // only.
    for (std::int64_t r = 0; r < chunk.block_rows(block); ++r) {
      const TopEntry& worst = entries[r * chunk.tile_top + chunk.tile_top - 1];
      std::atomic_ref<float> floor(floors_[static_cast<std::size_t>(first + r)]);
      if (worst.id >= 0 && worst.logit > floor.load(std::memory_order_relaxed))
        floor.store(worst.logit, std::memory_order_relaxed);
    }
  });
}

void Score::merge_row(const Chunk& chunk, std::int64_t r) const {
  const std::int64_t at = chunk.first + r, tiles = chunk.tiles();
  const auto& cuts = chunk.question.cuts;
  for (std::size_t s = 0; s + 1 < cuts.size(); ++s) {
    const std::int64_t first = (cuts[s] + vocabulary_tile - 1) / vocabulary_tile,
                       last = (cuts[s + 1] + vocabulary_tile - 1) / vocabulary_tile;
    const SoftmaxPart part = merged(parts_.data() + first * chunk.rows + r, chunk.rows, last - first);
    const auto segment = static_cast<std::int64_t>(s);
    chunk.out.reference.row<float>(segment)[at] = part.reference;
    chunk.out.sum.row<float>(segment)[at] = part.sum;
    if (chunk.out.weighted) chunk.out.weighted.row<float>(segment)[at] = part.weighted;
  }
  if (chunk.question.target_logits) {
    std::int32_t above = 0;
    for (std::int64_t tile = 0; tile < tiles; ++tile)
      above += parts_[static_cast<std::size_t>(tile * chunk.rows + r)].above;
    chunk.out.above.as<std::int32_t>()[at] = above;
  }
  if (!chunk.out.top_id) return;
  auto* ids = chunk.out.top_id.row<std::int32_t>(at);
  auto* logits = chunk.out.top_logit.row<float>(at);
  std::int64_t count = 0;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const TopEntry* entries = entries_.data() + (tile * chunk.rows + r) * chunk.tile_top;
    for (std::int64_t i = 0; i < chunk.tile_top && entries[i].id >= 0; ++i)
      take(ids, logits, chunk.top(), count, entries[i]);
  }
  no_best(chunk.out, at, count);
}

void Score::merge(const Chunk& chunk) const {
  const double ns = static_cast<double>(chunk.tiles() * 40 + chunk.top() * 200);
  parallel_rows(crew_, chunk.rows, ns, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) merge_row(chunk, r);
  });
}

void Score::run(const Tensor& hidden, const Weight& head, const ScoreQuestion& question, const ScoreParts& parts,
                ScoreTime& time) {
  const double start = now();
  const std::int64_t tile_top = std::min(parts.top_id.columns, vocabulary_tile);
  const std::int64_t per_row =
      tiles_of(head) *
      static_cast<std::int64_t>(sizeof(TilePart) + static_cast<std::size_t>(tile_top) * sizeof(TopEntry));
  std::int64_t limit = std::max<std::int64_t>(1, part_bytes / per_row);
  if (limit > row_block) limit = limit / row_block * row_block;
  size(std::min(limit, hidden.rows), tiles_of(head), tile_top);
  std::fill(product_seconds_.begin(), product_seconds_.end(), 0.0);
  std::fill_n(parts.found.as<float>(), hidden.rows, 0.0f);
  for (std::int64_t first = 0; first < hidden.rows; first += limit) {
    const std::int64_t rows = std::min(limit, hidden.rows - first);
    const Chunk chunk{hidden.rows_from(first, rows), head, question, parts, first, rows, tile_top};
    std::fill(floors_.begin(), floors_.begin() + rows, -infinity);
    const auto* const quantised = dynamic_cast<const Int8Weight*>(&head);
    tiles(chunk, quantised ? product(chunk, *quantised) : product(chunk, dynamic_cast<const PackedWeight&>(head)));
    merge(chunk);
  }
  double products = 0;
  for (const double seconds : product_seconds_) products += seconds;
  time.products += products / crew_.threads();
  time.total += now() - start;
}

void Score::nothing(const ScoreQuestion& question, const ScoreParts& parts) {
  for (std::int64_t s = 0; s < parts.reference.rows; ++s) {
    std::fill_n(parts.reference.row<float>(s), parts.reference.columns, -infinity);
    std::fill_n(parts.sum.row<float>(s), parts.sum.columns, 0.0f);
    if (parts.weighted) std::fill_n(parts.weighted.row<float>(s), parts.weighted.columns, 0.0f);
  }
  std::fill_n(parts.found.as<float>(), parts.found.columns, 0.0f);
  if (question.target_logits) std::fill_n(parts.above.as<std::int32_t>(), parts.above.columns, 0);
  for (std::int64_t r = 0; r < parts.top_id.rows; ++r) no_best(parts, r, 0);
}

}  // namespace thresher::device::cpu
