#include "device/cpu/score.h"

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

// The best `top` of tiles' sorted lists.
void take(std::vector<TopEntry>& best, std::int64_t top, const TopEntry& entry) {
  auto at = best.end();
  if (static_cast<std::int64_t>(best.size()) == top) {
    if (top == 0 || !(entry.logit > best.back().logit)) return;
    best.pop_back();
    at = best.end();
  }
  while (at != best.begin() && (at - 1)->logit < entry.logit) --at;
  best.insert(at, entry);
}

}  // namespace

// Some of the rows, with everything that their tiles need.
struct Score::Chunk {
  Tensor hidden;
  const PackedWeight& head;
  const std::int32_t* targets;
  std::int64_t first;  // row of the outputs
  std::int64_t rows;
  std::int64_t top;       // K asked for
  std::int64_t tile_top;  // entries that a tile keeps per row
  bool entropy;

  std::int64_t blocks() const { return (rows + row_block - 1) / row_block; }
  std::int64_t block_rows(std::int64_t block) const { return std::min(row_block, rows - block * row_block); }
  const void* block(std::int64_t index) const { return hidden.rows_from(index * row_block, 1).data; }
};

Product& Score::product(const Chunk& chunk, std::int64_t rows, std::int64_t columns, const dnnl::memory::desc& layout) {
  return products_.of({.rows = rows, .inputs = chunk.head.inputs(), .outputs = columns, .held = chunk.hidden.dtype},
                      layout);
}

void Score::size(std::int64_t rows, const PackedWeight& head, std::int64_t top) {
  const auto threads = static_cast<std::size_t>(crew_.threads());
  if (logits_.empty()) {
    product_seconds_.resize(threads);
    for (std::size_t i = 0; i < threads; ++i) logits_.push_back(tensor::host_buffer(row_block * vocabulary_tile * 4));
    gathered_.resize(threads);
  }
  const std::int64_t gathered = static_cast<std::int64_t>(head.gathered_layout(row_block).get_size());
  for (Buffer& buffer : gathered_)
    if (buffer.bytes() < gathered) {
      buffer = tensor::host_buffer(gathered);
      std::memset(buffer.data(), 0, static_cast<std::size_t>(gathered));
    }
  const auto fit = [](auto& list, std::int64_t count) {
    if (static_cast<std::int64_t>(list.size()) < count) list.resize(static_cast<std::size_t>(count));
  };
  fit(parts_, rows * head.tiles());
  fit(entries_, rows * head.tiles() * top);
  fit(found_, rows);
  fit(expected_, rows);
  fit(floors_, rows);
}

// The targets' logits, bit for bit as the tiles will hold them: the same products on a gathered tile.
void Score::target_logits(const Chunk& chunk) {
  const dnnl::memory::desc layout = chunk.head.gathered_layout(row_block);
  Product& full = product(chunk, row_block, row_block, layout);
  const std::int64_t last_rows = chunk.block_rows(chunk.blocks() - 1);
  Product& last = product(chunk, last_rows, row_block, layout);
  const double ns = static_cast<double>(row_block * chunk.head.inputs());
  parallel_tasks(crew_, chunk.blocks(), ns, [&](std::int64_t block, int thread) {
    const auto slot = static_cast<std::size_t>(thread);
    const std::int64_t rows = chunk.block_rows(block);
    for (std::int64_t r = 0; r < rows; ++r)
      chunk.head.gather(chunk.targets[block * row_block + r], r, gathered_[slot].data());
    const dnnl::memory weight(layout, products_.engine(), gathered_[slot].data());
    float* logits = static_cast<float*>(logits_[slot].data());
    (rows == row_block ? full : last).run(thread, chunk.block(block), weight, nullptr, logits);
    for (std::int64_t r = 0; r < rows; ++r)
      expected_[static_cast<std::size_t>(block * row_block + r)] = logits[r * row_block + r];
  });
}

// Tasks are ordered by tile, so that all threads read one tile's weights at a time.
void Score::tiles(const Chunk& chunk, bool ranked) {
  const std::int64_t blocks = chunk.blocks(), tiles = chunk.head.tiles();
  const std::int64_t last_rows = chunk.block_rows(blocks - 1), last_columns = chunk.head.tile_columns(tiles - 1);
  Product* products[2][2];
  for (int row = 0; row < 2; ++row)
    for (int column = 0; column < 2; ++column) {
      const std::int64_t tile = column ? tiles - 1 : 0;
      products[row][column] =
          &product(chunk, row ? last_rows : chunk.block_rows(0), column ? last_columns : chunk.head.tile_columns(0),
                   chunk.head.tile(tile).get_desc());
    }
  const double ns = static_cast<double>(chunk.block_rows(0) * chunk.head.inputs() * chunk.head.tile_columns(0)) / 300;
  parallel_tasks(crew_, blocks * tiles, ns, [&](std::int64_t task, int thread) {
    const auto slot = static_cast<std::size_t>(thread);
    const std::int64_t tile = task / blocks, block = task % blocks, first = block * row_block;
    float* logits = static_cast<float*>(logits_[slot].data());
    const double start = now();
    products[block == blocks - 1][tile == tiles - 1]->run(thread, chunk.block(block), chunk.head.tile(tile), nullptr,
                                                          logits);
    product_seconds_[slot] += now() - start;

    float floors[row_block];
    for (std::int64_t r = 0; r < chunk.block_rows(block); ++r)
      floors[r] = std::atomic_ref<float>(floors_[static_cast<std::size_t>(first + r)]).load(std::memory_order_relaxed);
    const std::int64_t at = tile * chunk.rows + first;
    TopEntry* entries = entries_.data() + at * chunk.tile_top;
    kernels_.score({.logits = logits,
                    .rows = chunk.block_rows(block),
                    .columns = chunk.head.tile_columns(tile),
                    .first_id = static_cast<std::int32_t>(tile * vocabulary_tile),
                    .targets = chunk.targets + first,
                    .target_logits = ranked ? expected_.data() + first : nullptr,
                    .entropy = chunk.entropy,
                    .top = chunk.tile_top,
                    .top_floor = floors,
                    .found = found_.data() + first,
                    .parts = parts_.data() + at,
                    .entries = entries});
    if (chunk.tile_top == 0 || chunk.tile_top < chunk.top) return;
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

bool Score::found_as_expected(const Chunk& chunk) const {
  return std::memcmp(found_.data(), expected_.data(), static_cast<std::size_t>(chunk.rows) * sizeof(float)) == 0;
}

// Tiles in rising order, in f64, in powers of two relative to the greatest logit of all.
void Score::merge_row(const Chunk& chunk, std::int64_t r, const ScoreOutput& out, std::vector<TopEntry>& best) const {
  const auto part = [&](std::int64_t tile) -> const TilePart& {
    return parts_[static_cast<std::size_t>(tile * chunk.rows + r)];
  };
  double highest = -std::numeric_limits<double>::infinity();
  for (std::int64_t tile = 0; tile < chunk.head.tiles(); ++tile)
    if (part(tile).reference > highest) highest = part(tile).reference;
  double sum = 0, weighted = 0;
  std::int64_t above = 0;
  for (std::int64_t tile = 0; tile < chunk.head.tiles(); ++tile) {
    const TilePart& one = part(tile);
    above += one.above;
    if (one.reference == -infinity) continue;
    const double shift = static_cast<double>(one.reference) - highest, factor = std::exp2(shift);
    sum += one.sum * factor;
    weighted += factor * (one.weighted + one.sum * shift);
  }
  constexpr double nats = 1 / static_cast<double>(log2_e);
  const double normaliser = (highest + std::log2(sum)) * nats;
  const std::int64_t at = chunk.first + r;
  const auto logprob = [&](float logit) { return static_cast<float>(static_cast<double>(logit) - normaliser); };
  if (out.logprob) out.logprob.as<float>()[at] = logprob(found_[static_cast<std::size_t>(r)]);
  if (out.rank) out.rank.as<std::int32_t>()[at] = static_cast<std::int32_t>(above);
  if (out.entropy) out.entropy.as<float>()[at] = static_cast<float>((std::log2(sum) - weighted / sum) * nats);
  if (!chunk.top) return;

  best.clear();
  for (std::int64_t tile = 0; tile < chunk.head.tiles(); ++tile) {
    const TopEntry* entries = entries_.data() + (tile * chunk.rows + r) * chunk.tile_top;
    for (std::int64_t i = 0; i < chunk.tile_top && entries[i].id >= 0; ++i) take(best, chunk.top, entries[i]);
  }
  for (std::int64_t i = 0; i < chunk.top; ++i) {
    const bool there = i < static_cast<std::int64_t>(best.size());
    if (out.top_id) out.top_id.row<std::int32_t>(at)[i] = there ? best[static_cast<std::size_t>(i)].id : -1;
    if (out.top_logprob)
      out.top_logprob.row<float>(at)[i] = there ? logprob(best[static_cast<std::size_t>(i)].logit) : -infinity;
  }
}

void Score::merge(const Chunk& chunk, const ScoreOutput& out) {
  const double ns = static_cast<double>(chunk.head.tiles() * 40 + chunk.top * 200);
  parallel_rows(crew_, chunk.rows, ns, [&](std::int64_t first, std::int64_t last) {
    std::vector<TopEntry> best;
    best.reserve(static_cast<std::size_t>(chunk.top) + 1);
    for (std::int64_t r = first; r < last; ++r) merge_row(chunk, r, out, best);
  });
}

void Score::run(const Tensor& hidden, const PackedWeight& head, const Tensor& targets, const ScoreOutput& out,
                ScoreTime& time) {
  if (hidden.rows == 0) return;
  const double start = now();
  const std::int64_t top = out.top_id ? out.top_id.columns : out.top_logprob ? out.top_logprob.columns : 0;
  const std::int64_t tile_top = std::min(top, vocabulary_tile);
  const std::int64_t per_row =
      head.tiles() *
      static_cast<std::int64_t>(sizeof(TilePart) + static_cast<std::size_t>(tile_top) * sizeof(TopEntry));
  std::int64_t limit = std::max<std::int64_t>(1, part_bytes / per_row);
  if (limit > row_block) limit = limit / row_block * row_block;
  size(std::min(limit, hidden.rows), head, tile_top);
  std::fill(product_seconds_.begin(), product_seconds_.end(), 0.0);
  for (std::int64_t first = 0; first < hidden.rows; first += limit) {
    const std::int64_t rows = std::min(limit, hidden.rows - first);
    const Chunk chunk{
        hidden.rows_from(first, rows), head, targets.as<const std::int32_t>() + first, first, rows, top, tile_top,
        static_cast<bool>(out.entropy)};
    std::fill(floors_.begin(), floors_.begin() + rows, -infinity);
    if (out.rank) target_logits(chunk);
    tiles(chunk, static_cast<bool>(out.rank));
    if (out.rank && !found_as_expected(chunk)) {
      // This library's bits depend on a column's place: count once more, against the tiles' own logits.
      std::copy_n(found_.begin(), rows, expected_.begin());
      tiles(chunk, true);
    }
    merge(chunk, out);
  }
  double products = 0;
  for (const double seconds : product_seconds_) products += seconds;
  time.products += products / crew_.threads();
  time.total += now() - start;
}

}  // namespace thresher::device::cpu
