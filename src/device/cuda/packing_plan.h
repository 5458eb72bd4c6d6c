// Which plan serves a call of attention. Pure.
//
// A plan is made for a number of sequences and for a number of rows that none of them exceeds: a bucket. Sequences that
// are not there have length 0. All buckets use one engine of cuDNN's with one choice of its knobs, so that a row's bits
// do not depend on the bucket.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "thresher/device/device.h"

namespace thresher::device::cuda {

// Numbers between a row and the next.
struct PackedStrides {
  std::int64_t q = 0, k = 0, v = 0, out = 0;

  auto operator<=>(const PackedStrides&) const = default;
};

struct PackedShape {
  std::int64_t query_heads = 0, kv_heads = 0, head_size = 0;
  PackedStrides strides;
  std::int64_t sequences = 0;
  std::int64_t rows = 0;  // of a sequence

  auto operator<=>(const PackedShape&) const = default;
};

// Sequences that one run of a plan takes at most: of more, every run takes as many.
constexpr std::int64_t most_sequences = 1024;

// The smallest bucket for these; at most `most_sequences` sequences.
std::int64_t sequences_bucket(std::int64_t sequences);
std::int64_t rows_bucket(std::int64_t longest);

// Query heads [first_query, + query_heads) read kv heads [first_kv, + kv_heads), each as many as the others.
struct HeadRun {
  std::int64_t first_query = 0, query_heads = 0;
  std::int64_t first_kv = 0, kv_heads = 0;

  bool operator==(const HeadRun&) const = default;
};

// The heads of a call, at most three runs of them: the rest of a group, whole groups, and the beginning of a group.
std::vector<HeadRun> runs_of(const AttendOptions& options);

// Sequences [first, first + sequences) that are computed at once: rows [first_row, + rows), none longer than `longest`.
struct PackedChunk {
  std::int64_t first = 0, sequences = 0;
  std::int64_t first_row = 0, rows = 0;
  std::int64_t longest = 0;

  bool operator==(const PackedChunk&) const = default;
};

// All sequences, in order, at most `most_sequences` and, but for a sequence that has more by itself, `most_rows` rows
// in each chunk. Where the host does not know where they begin, each chunk has all of the `rows`.
std::vector<PackedChunk> chunks_of(const Sequences& sequences, std::int64_t rows, std::int64_t most_rows);

// Whether an engine may be given heads of this size.
bool serves_head(std::int64_t head_size);

}  // namespace thresher::device::cuda
