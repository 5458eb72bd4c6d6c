#include "device/cuda/runtime/score.h"

#include <algorithm>

namespace thresher::device::cuda {

// Some of the rows.
struct Score::Chunk {
  Tensor hidden;
  const CudaWeight& head;
  const ScoreQuestion& question;
  const ScoreParts& out;
  std::int64_t first;  // row of the outputs

  Tensor of_row(const Tensor& x) const { return x ? x.columns_from(first, hidden.rows) : x; }
  Tensor below(const Tensor& x) const { return x ? x.rows_from(first, hidden.rows) : x; }
};

Score::Score(int gpu, cudaStream_t stream, Products& products, Timeline& timeline)
    : gpu_(gpu),
      stream_(stream),
      side_(make_stream()),
      products_(products),
      timeline_(timeline),
      merged_(make_event(false)) {
  for (Logits& one : logits_) {
    one.filled = make_event(false);
    one.read = make_event(false);
  }
}

void Score::reserve(const ScoreShape& shape) {
  const ScorePlan plan = plan_score(shape);
  for (Logits& one : logits_) grow(one.memory, gpu_, plan.logits_bytes);
  grow(parts_, gpu_, plan.parts_bytes);
  grow(head_tile_, gpu_, plan.head_bytes);
}

ScorePlan Score::sized(const Tensor& hidden, const CudaWeight& head) {
  const ScoreShape shape{.rows = hidden.rows,
                         .outputs = head.outputs(),
                         .inputs = head.inputs(),
                         .element_bytes = tensor::size_of(head.dtype()),
                         .part_bytes = sizeof(TilePart)};
  reserve(shape);
  return plan_score(shape);
}

void Score::multiply(const Tensor& hidden, const Tensor& tile, const Tensor& logits) {
  const std::size_t stretch = timeline_.begin(stream_);
  products_.run({.x = hidden, .w = tile, .out = logits});
  timeline_.end(stretch, stream_, time_.products);
}

Tensor Score::head_tile(const CudaWeight& head, std::int64_t index) {
  const Tensor all = head.whole();
  const std::int64_t first = index * vocabulary_tile, rows = std::min(vocabulary_tile, all.rows - first);
  if (rows == vocabulary_tile) return all.rows_from(first, rows);
  const std::int64_t row_bytes = all.stride * tensor::size_of(all.dtype);
  char* const copy = static_cast<char*>(head_tile_.data());
  check(cudaMemcpyAsync(copy, all.rows_from(first, rows).data, static_cast<std::size_t>(rows * row_bytes),
                        cudaMemcpyDeviceToDevice, stream_),
        "copying the head's last tile");
  check(cudaMemsetAsync(copy + rows * row_bytes, 0, static_cast<std::size_t>((vocabulary_tile - rows) * row_bytes),
                        stream_),
        "filling the head's last tile");
  return {copy, all.dtype, vocabulary_tile, all.columns, all.stride};
}

Tensor Score::aligned_hidden(const Tensor& hidden) {
  if (aligned(hidden)) return hidden;
  grow(hidden_, gpu_, aligned_bytes(hidden));
  return aligned_rows(hidden, hidden_.data(), stream_);
}

// Each block of rows is multiplied with its own targets' rows of the head; the diagonals are the logits.
void Score::target_logits(const Tensor& rows_given, const CudaWeight& head, const Tensor& targets,
                          std::int64_t first_id, const Tensor& out) {
  const Tensor hidden = aligned_hidden(rows_given);
  const ScorePlan plan = sized(hidden, head);
  const Tensor all = head.whole();
  const Tensor gathered{head_tile_.data(), all.dtype, vocabulary_tile, all.columns, all.stride};
  for (std::int64_t first = 0; first < hidden.rows; first += plan.rows) {
    const std::int64_t rows = std::min(plan.rows, hidden.rows - first);
    const Tensor logits = tensor::matrix(logits_[0].memory.data(), DType::f32, rows, vocabulary_tile);
    for (std::int64_t block = 0; block < rows; block += vocabulary_tile) {
      const std::int64_t count = std::min(vocabulary_tile, rows - block);
      gather(targets.columns_from(first + block, count), all, first_id, gathered.rows_from(0, count), stream_);
      products_.run(
          {.x = hidden.rows_from(first + block, count), .w = gathered, .out = logits.rows_from(block, count)});
    }
    diagonal(logits, targets.columns_from(first, rows), {first_id, head.outputs()}, out.columns_from(first, rows),
             stream_);
  }
}

void Score::tile(const Chunk& chunk, std::int64_t index) {
  Logits& logits = logits_[turn_++ % logits_.size()];
  if (logits.in_use) check(cudaStreamWaitEvent(stream_, logits.read.raw()), "waiting for a buffer");
  const Tensor all = tensor::matrix(logits.memory.data(), DType::f32, chunk.hidden.rows, vocabulary_tile);
  multiply(chunk.hidden, head_tile(chunk.head, index), all);
  check(cudaEventRecord(logits.filled.raw(), stream_), "marking a product");
  check(cudaStreamWaitEvent(side_.raw(), logits.filled.raw()), "waiting for a product");
  const std::int64_t columns = std::min(vocabulary_tile, chunk.head.outputs() - index * vocabulary_tile);
  const ScoreChunk part{.logits = all.columns_from(0, columns),
                        .first_tile = index,
                        .first_id = chunk.question.first_id,
                        .targets = chunk.of_row(chunk.question.targets),
                        .target_logits = chunk.of_row(chunk.question.target_logits),
                        .weighted = static_cast<bool>(chunk.out.weighted)};
  auto* const parts = static_cast<TilePart*>(parts_.data());
  score_tiles(part, parts, chunk.of_row(chunk.out.found), side_.raw());
  if (chunk.out.top_id)
    score_best(part, parts, chunk.below(chunk.out.top_id), chunk.below(chunk.out.top_logit), side_.raw());
  check(cudaEventRecord(logits.read.raw(), side_.raw()), "marking a tile");
  logits.in_use = true;
}

// A head without rows: its lists of the best are begun, and stay empty.
void Score::nothing(const Chunk& chunk) {
  if (!chunk.out.top_id) return;
  const Tensor logits = tensor::matrix(logits_[0].memory.data(), DType::f32, chunk.hidden.rows, 0);
  score_best({.logits = logits,
              .first_tile = 0,
              .first_id = chunk.question.first_id,
              .targets = chunk.of_row(chunk.question.targets),
              .target_logits = {},
              .weighted = false},
             nullptr, chunk.below(chunk.out.top_id), chunk.below(chunk.out.top_logit), side_.raw());
}

void Score::merge(const Chunk& chunk) {
  score_merge({.parts = static_cast<const TilePart*>(parts_.data()),
               .tiles = (chunk.head.outputs() + vocabulary_tile - 1) / vocabulary_tile,
               .cuts = chunk.question.cuts,
               .reference = chunk.of_row(chunk.out.reference),
               .sum = chunk.of_row(chunk.out.sum),
               .weighted = chunk.of_row(chunk.out.weighted),
               .above = chunk.question.target_logits ? chunk.of_row(chunk.out.above) : Tensor{}},
              side_.raw());
}

void Score::run(const Tensor& rows_given, const CudaWeight& head, const ScoreQuestion& question,
                const ScoreParts& parts) {
  const Tensor hidden = aligned_hidden(rows_given);
  const ScorePlan plan = sized(hidden, head);
  const std::size_t stretch = timeline_.begin(stream_);
  // What the results' memory was used for before is over when the second stream writes there.
  check(cudaEventRecord(merged_.raw(), stream_), "marking the beginning");
  check(cudaStreamWaitEvent(side_.raw(), merged_.raw()), "waiting for the beginning");
  check(cudaMemsetAsync(parts.found.data, 0, static_cast<std::size_t>(hidden.rows * 4), stream_), "clearing logits");
  for (std::int64_t first = 0; first < hidden.rows; first += plan.rows) {
    const Chunk chunk{hidden.rows_from(first, std::min(plan.rows, hidden.rows - first)), head, question, parts, first};
    for (std::int64_t index = 0; index < plan.tiles; ++index) tile(chunk, index);
    if (plan.tiles == 0) nothing(chunk);
    merge(chunk);
  }
  check(cudaEventRecord(merged_.raw(), side_.raw()), "marking the scores");
  check(cudaStreamWaitEvent(stream_, merged_.raw()), "waiting for the scores");
  timeline_.end(stretch, stream_, time_.total);
}

}  // namespace thresher::device::cuda
