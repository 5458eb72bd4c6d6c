#include "device/cuda/kernels/score.cuh"

namespace thresher::device::cuda {
namespace {

constexpr int tile_warps = 8;
constexpr unsigned merge_threads = 128;
constexpr std::int64_t most_best = 1024;

ChunkView view_of(const ScoreChunk& chunk) {
  return {rows_of<const float>(chunk.logits),
          chunk.logits.rows,
          chunk.logits.columns,
          chunk.first_tile,
          chunk.first_id,
          chunk.targets.as<const std::int32_t>(),
          chunk.target_logits.as<const float>()};
}

}  // namespace

void score_tiles(const ScoreChunk& chunk, TilePart* parts, const Tensor& found, Stream stream) {
  if (chunk.logits.rows == 0 || chunk.logits.columns == 0) return;
  if (!in_fours(chunk.logits))
    base::fail(base::Exit::internal, "a chunk of logits with rows " + std::to_string(chunk.logits.stride) +
                                         " apart; rows have to start at multiples of 16 bytes");
  const dim3 grid(blocks_for(chunk.logits.rows, tile_warps), blocks_for(chunk.logits.columns, vocabulary_tile));
  launch("score", chunk.weighted ? score_tile_rows<true> : score_tile_rows<false>, grid, tile_warps * warp_lanes, 0,
         stream, view_of(chunk), parts, found.as<float>());
}

void score_best(const ScoreChunk& chunk, const TilePart* parts, const Tensor& top_id, const Tensor& top_logit,
                Stream stream) {
  const std::int64_t top = top_id.columns;
  if (chunk.logits.rows == 0 || top == 0) return;
  if (top > most_best)
    base::fail(base::Exit::internal,
               "the " + std::to_string(top) + " best of a row; at most " + std::to_string(most_best) + " are possible");
  const int warps = top > 256 ? 2 : tile_warps;
  launch("best", score_best_rows, blocks_for(chunk.logits.rows, warps), static_cast<unsigned>(warps * warp_lanes),
         static_cast<std::size_t>(warps * top) * 8, stream, view_of(chunk), parts, rows_of<std::int32_t>(top_id),
         rows_of<float>(top_logit), static_cast<int>(top));
}

void score_merge(const ScoreMerge& merge, Stream stream) {
  const std::int64_t rows = merge.reference.columns;
  if (rows == 0) return;
  MergeView view{.parts = merge.parts,
                 .rows = rows,
                 .tile_cuts = {},
                 .segments = static_cast<int>(merge.cuts.size()) - 1,
                 .reference = rows_of<float>(merge.reference),
                 .sum = rows_of<float>(merge.sum),
                 .weighted = rows_of<float>(merge.weighted),
                 .above = merge.above.as<std::int32_t>()};
  for (int s = 0; s <= view.segments; ++s)
    view.tile_cuts[s] = (merge.cuts[static_cast<std::size_t>(s)] + vocabulary_tile - 1) / vocabulary_tile;
  launch("merge", merge_rows, blocks_for(rows, merge_threads), merge_threads, 0, stream, view);
}

}  // namespace thresher::device::cuda
