// The GPU's own kernels, one call each: they put work on a stream and return. No CUDA header is needed to call them.
//
// Views are of device memory. Every call decides its grid from shapes alone, and a row's bits depend on that row (of
// `attend`: on its sequence's rows) and on nothing else: not on the number of rows, on alignment or on the GPU's size.
// Errors of a launch are base::Error (os). Rows of no column, or no rows, are no work.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "thresher/device/device.h"

struct CUstream_st;

namespace thresher::device::cuda {

using Stream = CUstream_st*;  // cudaStream_t

// As in Device; see device.h for shapes and types.
void embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out, Stream stream);
void norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out, Stream stream);
void rope(const Tensor& x, const RopeOptions& options, Stream stream);
void gate(const Tensor& x, Activation activation, const Tensor& out, Stream stream);
void add(const Tensor& x, const Tensor& bias, const Tensor& out, Stream stream);
// Head sizes up to 256, a scale above 0. bf16 out: tensor cores, f32 in as split numbers (attend_mma.cuh). f32 out: f32
// multiply-adds, much slower.
void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences, const AttendOptions& options,
            const Tensor& out, Stream stream);

// Where packed sequences lie, as cuDNN is told: their lengths, 0 for those that are not there, and for each of four
// matrices the number of elements before them. Rows count from `first_row` on.
struct Ragged {
  Tensor starts;  // i32, 1 x (sequences + 1)
  std::int64_t sequences = 0;
  std::int64_t first_row = 0;
  std::int64_t room = 0;  // sequences that there may be
  std::array<std::int64_t, 4> strides{};
  std::int32_t* lengths = nullptr;         // `room` of them
  std::array<std::int64_t*, 4> offsets{};  // `room` + 1 of each
};
void ragged(const Ragged& ragged, Stream stream);

// out = (tree of the pieces' sums + bias) + out, as matmul's comment in device.h says: piece p is the matrix at
// partials.data + p * piece_stride elements. 1, 2, 4 or 8 pieces of f32, out f32 or bf16.
struct Pieces {
  Tensor partials;
  std::int64_t piece_stride = 0;
  int count = 1;
};
void finish(const Pieces& pieces, const Tensor& bias, bool accumulate, const Tensor& out, Stream stream);

// out[r] = table[ids[r] - first_id] without a change of type, zeros for ids outside of the table.
void gather(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out, Stream stream);
// out[r] = products[r, r % products.columns] where ids[r] is in [first_id, first_id + count), else the bits of +0.
// products f32 [rows, block], out f32 1 x rows. After `gather` and a product of each block of rows with its own
// gathered rows of the head, these are the targets' logits.
struct IdRange {
  std::int64_t first_id = 0;
  std::int64_t count = 0;
};
void diagonal(const Tensor& products, const Tensor& ids, const IdRange& range, const Tensor& out, Stream stream);

// What a vocabulary tile adds to a row's score, in powers of two: t = logit * log2_e - reference.
struct TilePart {
  float reference;     // the tile's greatest logit * log2_e
  float sum;           // of 2^t; NaN where a logit is NaN or +inf
  float weighted;      // of 2^t * t; 0 unless wanted
  std::int32_t above;  // logits that rank before the target's
};

// The streamed head: `score_tiles` for every chunk of logits, in any order, each as soon as its product is done, and
// `score_best` for every chunk in rising order of columns; then `score_merge` once for these rows.
struct ScoreChunk {
  Tensor logits;                // f32, 16-byte aligned, stride a multiple of 4; columns may end anywhere
  std::int64_t first_tile = 0;  // of the head: the chunk starts at column first_tile * vocabulary_tile
  std::int64_t first_id = 0;    // of the head's first row
  Tensor targets;               // i32, 1 x rows
  Tensor target_logits;         // f32, 1 x rows; empty = no ranks wanted
  bool weighted = false;
};

// Writes parts[tile * logits.rows + row] for the chunk's tiles (of the head), and `found` of those targets that are in
// the chunk: the caller clears `found` before the first chunk.
void score_tiles(const ScoreChunk& chunk, TilePart* parts, const Tensor& found, Stream stream);

// The best of the columns seen until now: top_id i32 and top_logit f32, rows x K, K at most 1024. Reads the parts that
// score_tiles has left, to pass over tiles without a candidate. The chunk with first_tile 0 starts the lists;
// for a head without rows it has no columns.
void score_best(const ScoreChunk& chunk, const TilePart* parts, const Tensor& top_id, const Tensor& top_logit,
                Stream stream);

// Sums tiles in rising order into segments, in f64. `tiles` counts the head's.
struct ScoreMerge {
  const TilePart* parts = nullptr;
  std::int64_t tiles = 0;
  std::span<const std::int64_t> cuts;  // as in ScoreQuestion, at most 8 segments
  Tensor reference, sum, weighted;     // f32, segments x rows; weighted may be empty
  Tensor above;                        // i32, 1 x rows, or empty
};
void score_merge(const ScoreMerge& merge, Stream stream);

}  // namespace thresher::device::cuda
