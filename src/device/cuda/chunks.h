// How the streamed head is cut into products on a GPU, so that no more than a fixed amount of scratch memory is needed
// at any vocabulary and batch. Pure.
#pragma once

#include <cstdint>

namespace thresher::device::cuda {

// A product of the head is one vocabulary tile by at most this many rows: 16 MiB of logits, which a pass after it
// finds in the second-level cache.
constexpr std::int64_t most_chunk_rows = 4096;
constexpr std::int64_t logits_buffers = 2;  // one is filled while the other is read
constexpr std::int64_t most_score_bytes = std::int64_t{512} << 20;

struct ScoreShape {
  std::int64_t rows = 0;     // scored
  std::int64_t outputs = 0;  // of the head that is here
  std::int64_t inputs = 0;
  std::int64_t element_bytes = 2;  // of the head
  std::int64_t part_bytes = 16;    // what a tile leaves behind of a row
};

// Rows go through all tiles in chunks; a chunk's tile results wait until its last tile and are merged then.
struct ScorePlan {
  std::int64_t rows = 0;  // of a chunk, at least 1
  std::int64_t chunks = 0;
  std::int64_t tiles = 0;
  std::int64_t logits_bytes = 0;  // of one of the buffers
  std::int64_t parts_bytes = 0;   // of the results of a chunk's tiles
  std::int64_t head_bytes = 0;    // of a tile of the head that is put together from rows of it

  std::int64_t bytes() const { return logits_buffers * logits_bytes + parts_bytes + head_bytes; }
};

// A row alone has to fit into `limit`, or base::Error (internal) is thrown.
ScorePlan plan_score(const ScoreShape& shape, std::int64_t limit = most_score_bytes);

}  // namespace thresher::device::cuda
