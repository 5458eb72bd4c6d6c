// The vector kernels' table: one instance per instruction set, chosen once when the device is made.
//
// Every kernel works on one thread, on rows [first, last) or on one task. Only plain data crosses this border: the
// kernels' files are compiled for newer instruction sets, and an inline function shared with the rest of the program
// could be linked from the wrong one.
#pragma once

#include <cstdint>

#include "thresher/tensor/quantised.h"

namespace thresher::device::cpu {

using tensor::QuantisedPiece;

enum class Isa : std::uint8_t { avx2, avx512, avx512_bf16 };

enum class Gate : std::uint8_t { silu, gelu, gelu_tanh };

// Rows of f32 or (bf16) of bf16; stride in elements.
struct Rows {
  void* data;
  std::int64_t stride;
  std::int64_t columns;
  bool bf16;
};

// Rows of quantised numbers, see tensor/quantised.h. Piece p of row r is pieces[r * count + p].
struct QuantisedRows {
  std::uint8_t* numbers;
  std::int64_t stride;
  QuantisedPiece* pieces;
  const std::int64_t* cuts;  // count + 1 of them
  std::int64_t count;
};

struct EmbedArgs {
  const std::int32_t* ids;
  Rows table;
  std::int64_t first_id;  // of the table's first row
  std::int64_t count;     // of its rows
  Rows out;
};

struct RopeArgs {
  Rows x;
  const std::int32_t* rows;
  const float* cos;
  const float* sin;
  std::int64_t cos_stride, sin_stride;
  std::int64_t head_size;
  const float* gain;  // or nullptr
  float epsilon;
};

// Rows of a sequence that lie together in the batch.
struct KeyRun {
  std::int64_t begin, end;  // counted from the sequence's start
  std::int64_t first;       // in the batch
};

// One sequence's slice of work: query rows [query, query + queries) of query heads [head, head + heads), all of which
// read one kv head. Rows count from the sequence's start.
struct AttendTask {
  std::int64_t first;  // row r of the sequence is row first + r of the batch, but for those that other sequences hold
  std::int64_t query;
  std::int64_t queries;
  std::int64_t head;
  std::int64_t heads;  // queries * heads * padded head size at most attend_sums
  std::int64_t kv_head;
  const KeyRun* runs;  // of the whole sequence, or nullptr: it lies in one place
};

struct AttendArgs {
  Rows q, k, v, out;  // all of one dtype; out may be bf16 where the others are f32
  std::int64_t head_size;
  std::int64_t window;  // 0 = none
  float scale;
};

constexpr std::int64_t attend_keys = 64;        // keys of a block; blocks are counted from the sequence's start
constexpr std::int64_t attend_head_size = 256;  // the largest
constexpr std::int64_t attend_sums = 1 << 16;   // of a task's rows and heads
constexpr std::int64_t score_rows = 64;

// One thread's scratch space, 64-byte aligned.
struct Scratch {
  float sums[attend_sums];             // unnormalised outputs
  std::uint32_t queries[attend_sums];  // as the products read them
  std::uint32_t keys[attend_head_size * attend_keys];
  std::uint32_t values[attend_keys * attend_head_size];
  float gathered[attend_keys * attend_head_size];  // keys or values of a block that lie apart
  float scores[score_rows * attend_keys];
  std::uint32_t weights[score_rows * attend_keys];
  float highest[attend_sums / 16];
  float totals[attend_sums / 16];
};

// What a vocabulary tile adds to a row's score, in powers of two: t = logit * log2_e - reference.
struct TilePart {
  float reference;     // the tile's greatest logit * log2_e
  float sum;           // of 2^t; NaN where a logit is NaN or +inf
  float weighted;      // of 2^t * t; entropy only
  std::int32_t above;  // logits that rank before the target's
};

constexpr float log2_e = 0x1.715476p+0f;

struct TopEntry {
  float logit;
  std::int32_t id;
};

struct TileArgs {
  const float* logits;  // rows x columns, dense
  std::int64_t rows;
  std::int64_t columns;
  std::int32_t first_id;        // vocabulary id of column 0
  const std::int32_t* targets;  // per row; of the whole vocabulary
  const float* target_logits;   // per row, or nullptr: no rank wanted
  bool entropy;
  std::int64_t top;        // K, 0 = none
  const float* top_floor;  // per row: nothing below it can be among the K best
  float* found;            // per row: the target's logit, where the tile holds it
  TilePart* parts;         // per row
  TopEntry* entries;       // per row `top` of them: the tile's best, sorted, ended by id -1 if fewer
};

// A sum in 1, 2 or 4 parts: matrices of f32 of one shape, `apart` numbers from one to the next; (0 + 1) + (2 + 3).
struct PartialSums {
  Rows rows;  // the first
  int count = 1;
  std::int64_t apart = 0;
};

constexpr std::int64_t slab_columns = 64;

// The products of some rows with some columns of a weight: out = (products + bias) (+ out).
struct SlabArgs {
  const void* x;         // the first row: f32, or bf16 where the processor multiplies them
  std::int64_t x_bytes;  // from row to row
  bool bf16;
  std::int64_t inputs;
  const std::uint32_t* w;  // slabs of [depth][slab_columns] words, see kernels/words.h; what is not there is zeros
  std::int64_t depth;      // of a slab
  std::int64_t rows;
  const float* bias;  // or nullptr
  bool accumulate;
  Rows out;
};

// A piece of an int8 weight: the number at (output n, input first + k) is scales[n] times a signed byte.
struct Int8Piece {
  std::int64_t first, inputs;
  // Slabs of [words of the inputs][slab_columns]: a word holds an output's bytes of four neighbouring inputs. What is
  // not there is zeros.
  const std::uint32_t* slabs;
  const float* scales;       // per output, to a whole number of slabs, as are the sums
  const std::int32_t* sums;  // of an output's bytes, times 128
};

// Products of some rows with some columns of an int8 weight: out = (sum of the pieces' products + bias) (+ out).
struct Int8Args {
  QuantisedRows x;  // in the weight's pieces
  const Int8Piece* pieces;
  std::int64_t row, rows;
  std::int64_t column, columns;  // the first is a multiple of slab_columns
  const float* bias;             // or nullptr
  bool accumulate;
  Rows out;
};

struct Kernels {
  Isa isa;
  void (*convert)(const Rows& from, const Rows& to, std::int64_t first, std::int64_t last);
  void (*embed)(const EmbedArgs& args, std::int64_t first, std::int64_t last);
  void (*norm)(const Rows& x, const std::int32_t* rows, const float* gain, float epsilon, const Rows& out,
               std::int64_t first, std::int64_t last);
  void (*rope)(const RopeArgs& args, std::int64_t first, std::int64_t last);
  // out = activation(x) * up
  void (*gate)(const Rows& x, const Rows& up, Gate activation, const Rows& out, std::int64_t first, std::int64_t last);
  // out = sum (+ bias) (+ out)
  void (*finish)(const PartialSums& from, const float* bias, bool accumulate, const Rows& out, std::int64_t first,
                 std::int64_t last);
  void (*multiply_slabs)(const SlabArgs& args);
  void (*attend)(const AttendArgs& args, const AttendTask& task, Scratch& scratch);
  void (*score)(const TileArgs& args);
  // Pieces [piece, behind) of rows; x begins with the first of them.
  void (*quantise)(const Rows& x, const QuantisedRows& out, std::int64_t piece, std::int64_t behind, std::int64_t first,
                   std::int64_t last);
  // norm, then quantise, without the numbers between the two in memory.
  void (*norm_quantised)(const Rows& x, const std::int32_t* rows, const float* gain, float epsilon,
                         const QuantisedRows& out, std::int64_t first, std::int64_t last);
  void (*multiply_int8)(const Int8Args& args);
  // Runs multiply-adds on registers, returns FLOP (or integer operations) done.
  double (*burn_f32)(std::int64_t rounds);
  double (*burn_bf16)(std::int64_t rounds);
  double (*burn_int8)(std::int64_t rounds);
};

const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
// Those of kernels_avx512, same bits, with products of bytes by VNNI.
const Kernels& kernels_avx512_vnni();
const Kernels& kernels_avx512_bf16();

}  // namespace thresher::device::cpu
