#include "device/cuda/packing_plan.h"

#include <algorithm>

namespace thresher::device::cuda {
namespace {

constexpr std::int64_t least_sequences = 16, least_rows = 128, step = 4;
constexpr std::int64_t head_step = 8, largest_head = 256;  // engines load 16 bytes at a time

std::int64_t bucket(std::int64_t size, std::int64_t least) {
  std::int64_t bucket = least;
  while (bucket < size) bucket *= step;
  return bucket;
}

}  // namespace

std::int64_t sequences_bucket(std::int64_t sequences) {
  return bucket(sequences, least_sequences);
}

std::int64_t rows_bucket(std::int64_t longest) {
  return bucket(longest, least_rows);
}

std::vector<HeadRun> runs_of(const AttendOptions& options) {
  const std::int64_t group = options.group > 0 ? options.group : options.query_heads / options.kv_heads;
  std::vector<HeadRun> runs;
  for (std::int64_t head = 0; head < options.query_heads;) {
    const std::int64_t inside = (head + options.skipped) % group, left = options.query_heads - head;
    const std::int64_t whole = inside == 0 ? left / group : 0;
    HeadRun run{.first_query = head, .first_kv = (head + options.skipped) / group};
    run.kv_heads = std::max<std::int64_t>(1, whole);
    run.query_heads = whole > 0 ? whole * group : std::min(group - inside, left);
    runs.push_back(run);
    head += run.query_heads;
  }
  return runs;
}

std::vector<PackedChunk> chunks_of(const Sequences& sequences, std::int64_t rows, std::int64_t most_rows) {
  std::vector<PackedChunk> chunks;
  const auto& starts = sequences.host_starts;
  if (starts.empty()) {
    for (std::int64_t first = 0; first < sequences.count; first += most_sequences)
      chunks.push_back({first, std::min(most_sequences, sequences.count - first), 0, rows, sequences.longest});
    return chunks;
  }
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    const std::int64_t length = starts[i + 1] - starts[i];
    if (chunks.empty() || chunks.back().sequences == most_sequences || chunks.back().rows + length > most_rows)
      chunks.push_back({.first = static_cast<std::int64_t>(i), .first_row = starts[i]});
    PackedChunk& chunk = chunks.back();
    ++chunk.sequences;
    chunk.rows += length;
    chunk.longest = std::max(chunk.longest, length);
  }
  std::erase_if(chunks, [](const PackedChunk& chunk) { return chunk.rows == 0; });
  return chunks;
}

bool serves_head(std::int64_t head_size) {
  return head_size > 0 && head_size % head_step == 0 && head_size <= largest_head;
}

}  // namespace thresher::device::cuda
