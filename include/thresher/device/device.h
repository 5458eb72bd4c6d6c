// The arithmetic of a transformer: one call per step, the same for every device.
//
// A device is one in-order queue: calls return before or after the work is done, `finish` waits. All tensors are views
// of memory that the device itself allocated (rows = tokens of a packed batch unless said otherwise), outputs are given
// by the caller, and no step allocates. Every step computes a row from that row alone (attend: from the rows of its
// sequence), in an order of operations that depends on nothing else: the same row gives the same bits in any batch,
// with any number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "thresher/base/cores.h"
#include "thresher/device/softmax.h"
#include "thresher/tensor/buffer.h"
#include "thresher/tensor/tensor.h"

namespace thresher::device {

using tensor::Buffer;
using tensor::DType;
using tensor::Tensor;

// Where a packed weight's numbers lie.
enum class Residence : std::uint8_t {
  device,
  host,  // in the host's memory: on the device only from `bring` on, until its slot gets others
};

// A matrix [outputs, inputs] in the form the device multiplies fastest. Made by Device::pack.
class Weight {
 public:
  virtual ~Weight() = default;
  virtual std::int64_t outputs() const = 0;
  virtual std::int64_t inputs() const = 0;
  virtual DType dtype() const = 0;
  virtual std::int64_t bytes() const = 0;
};

// Rows [first, first + count) of a batch.
struct RowRun {
  std::int32_t first, count;
};

// The sequences of a packed batch: sequence i holds rows [starts[i], starts[i + 1]). `starts` is i32, 1 x (count + 1).
// With `runs`, which devices that share prefixes take, sequence i begins with rows that others hold, those of runs
// [run_starts[i], run_starts[i + 1]) one after another, and its own rows continue them.
struct Sequences {
  Tensor starts;
  std::int64_t count = 0;
  std::int64_t longest = 0;                        // rows of the longest one
  std::span<const std::int32_t> host_starts = {};  // the same numbers where the host can read them, or empty
  std::span<const RowRun> runs = {};               // on the host, of earlier sequences' rows
  std::span<const std::int32_t> run_starts = {};   // count + 1 of them, or none
};

enum class Activation : std::uint8_t { silu, gelu, gelu_tanh };

struct RopeOptions {
  Tensor rows;      // i32, 1 x tokens: the row of cos/sin for each token
  Tensor cos, sin;  // f32, [table rows, head_size / 2]
  std::int64_t head_size = 0;
  Tensor gain;        // optional, f32, 1 x head_size: RMSNorm of each head before the rotation (QK-norm)
  float epsilon = 0;  // of that norm
};

// Of the heads that are here: query head h reads kv head (h + skipped) / group. A head's bits do not depend on which
// others are here.
struct AttendOptions {
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_size = 0;
  float scale = 0;           // factor of q.k, usually 1 / sqrt(head_size)
  std::int64_t window = 0;   // a token sees itself and the window - 1 tokens before it; 0 = all
  std::int64_t group = 0;    // query heads that share a kv head; 0 = query_heads / kv_heads, which has to divide
  std::int64_t skipped = 0;  // query heads of the first group that are not here, less than `group`
};

// What `score` is asked about rows of hidden states, by a head that may hold a part of the vocabulary only.
struct ScoreQuestion {
  Tensor targets;             // i32, 1 x rows; ids of the whole vocabulary, those elsewhere too
  std::int64_t first_id = 0;  // of the head's first row: a multiple of vocabulary_tile
  // Boundaries {0, ..., head.outputs()} of at most 8 segments of the head's rows: multiples of vocabulary_tile but for
  // the last. Segments may be empty.
  std::span<const std::int64_t> cuts;
  Tensor target_logits;  // f32, 1 x rows: each target's logit, wherever it is; empty = no ranks wanted
};

// Row s of the first three is segment s. Views that are optional and not wanted are empty.
struct ScoreParts {
  Tensor reference, sum;  // f32, segments x rows: see SoftmaxPart
  Tensor weighted;        // optional, f32, segments x rows
  Tensor above;      // i32, 1 x rows, with target_logits only: the head's columns that rank before the target, by a
                     // greater logit, or by an equal one and a lower id
  Tensor found;      // f32, 1 x rows: the target's logit in the tiles; the bits of +0 where it is elsewhere
  Tensor top_id;     // optional, i32, rows x K: the best of the head's columns, see TopList; ids of the whole
                     // vocabulary
  Tensor top_logit;  // with top_id, f32, rows x K
};

struct DeviceOptions {
  int threads = 1;
  base::Cores cores = {};  // of each thread; the device's own stay there. Empty: any
};

// What `bring` did since the device was made.
struct BringTime {
  double waited = 0;  // seconds in which a step had nothing to do but wait for its weights
  std::int64_t bytes = 0;
};

// Where the seconds of `score` (in parts) went, since the device was made.
struct ScoreTime {
  double products = 0;  // its matrix products
  double total = 0;
};

// Seconds of a device's queue, by the device's own clock, between the first step that is counted and the last end that
// somebody waited for. An end is where the host sets a mark or waits. `busy`: from the first step after an end to the
// next end. `idle`: from an end to the first step after it, where the queue is empty. So what is busy holds the times
// that the queue ran empty between two steps because the host queued them slowly, and those that a step waited for
// other ranks.
struct DeviceUse {
  double busy = 0, idle = 0;
  double idle_share() const { return busy + idle > 0 ? idle / (busy + idle) : 0; }
};

// A place in a device's queue. The device outlives it.
class Mark {
 public:
  virtual ~Mark() = default;
  virtual void set() = 0;     // here: behind all that the device has been asked for until now
  virtual bool passed() = 0;  // all of it is done; also where the mark was never set
  virtual void wait() = 0;    // until it is. Throws base::Error (os) where that failed
};

// A second queue of a device, for transfers that go on beside its steps. The device outlives it.
class Lane {
 public:
  virtual ~Lane() = default;
  // As Device::queue, of the lane.
  virtual void* queue() = 0;
  // What is put on the lane from now on begins when the steps that the device was asked for until now are done.
  virtual void follow_steps() = 0;
  // The other way round.
  virtual void precede_steps() = 0;
  // A step of the device: between tensors in its memory, of equal shape and dtype.
  virtual void copy(const Tensor& from, const Tensor& to) = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string kind() const = 0;  // "cpu", "cuda"
  virtual std::string isa() const = 0;   // what decides the bits besides the dtype: "avx512_bf16", "sm_90"
  virtual int threads() const = 0;
  // Whether it takes i8 in `pack`, and so in what its products take and what comes before them.
  virtual bool quantises() const { return false; }

  // Whether the host may read and write what `allocate` gives. Where not, `upload` and `download` are the only way, and
  // steps may return before their work is done.
  virtual bool host_memory() const { return true; }

  // Whether `attend` takes sequences that begin with rows of others (Sequences::runs).
  virtual bool shares_prefixes() const { return false; }

  // The device's queue as what is beneath it knows it (CUDA: a cudaStream_t), for transports that put work there;
  // nullptr: there is none. The device is the calling thread's from now on.
  virtual void* queue() { return nullptr; }
  // Of devices that have a queue.
  virtual std::unique_ptr<Lane> make_lane() { return nullptr; }

  // Memory. Throws base::Error (os) with the size asked for. `upload` and `download` copy dense or strided tensors of
  // equal shape and dtype between host and device memory; the host memory may be reused when they return.
  virtual Buffer allocate(std::int64_t bytes) = 0;
  virtual void upload(const Tensor& host, const Tensor& device) = 0;
  virtual void download(const Tensor& device, const Tensor& host) = 0;
  virtual void finish() = 0;
  // Bytes that `allocate` and `pack` can still take of memory that is the device's own: no limit where it has none.
  virtual std::int64_t free_bytes() { return std::numeric_limits<std::int64_t>::max(); }

  // Copies that nobody waits for: they take their place in the queue. The host tensors lie in memory of
  // `allocate_host`, which is the copy's until a mark set after it has been passed. A device in host memory copies at
  // once.
  virtual Buffer allocate_host(std::int64_t bytes);
  virtual void queue_upload(const Tensor& host, const Tensor& device) { upload(host, device); }
  virtual void queue_download(const Tensor& device, const Tensor& host) { download(device, host); }
  virtual std::unique_ptr<Mark> make_mark();

  // Counts the queue's use anew, from the next step on. No use where the device is the host.
  virtual void count_use() {}
  virtual std::optional<DeviceUse> use() const { return {}; }

  // Sizes all scratch space for batches of at most `rows` tokens, `scored` scored rows, top-`top_k`, and weights packed
  // until now. Called once, before the first step.
  virtual void reserve(std::int64_t rows, std::int64_t scored, std::int64_t top_k) = 0;

  // A weight from a host matrix [outputs, inputs] in f32, bf16 or f16, to be multiplied with activations of `dtype`
  // (f32, bf16 or, where quantises(), i8); either extent may be 0. The host matrix may be freed afterwards. `cuts` are
  // boundaries {0, ..., inputs} of 1, 2, 4 or 8 pieces of the inputs, uneven and empty ones allowed; without them there
  // is one piece.
  // A device that computes in the host's memory takes both residences alike.
  virtual std::unique_ptr<Weight> pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                                       Residence residence) = 0;
  std::unique_ptr<Weight> pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts = {}) {
    return pack(matrix, dtype, cuts, Residence::device);
  }

  // Weights of Residence::host come in groups into one of two slots of device memory; where they need not come these
  // calls do nothing. `make_slots`: room for groups of at most `bytes`, the sum of Weight::bytes.
  virtual void make_slots(std::int64_t /*bytes*/) {}
  // Copies the weights into slot 0 or 1, when the steps queued until now are done and beside those queued later; steps
  // that use one of them wait on the device until it is there. Weights that were in the slot before are no longer on
  // the device, and a step that asks for one of them is refused.
  virtual void bring(std::span<Weight* const> /*weights*/, int /*slot*/) {}
  // Bytes per second that `bring` copies at while nothing else runs, or 0 where nothing has to be copied; takes about
  // `seconds`.
  virtual double measure_bring(double /*seconds*/) { return 0; }
  virtual BringTime bring_time() const { return {}; }

  // out[r] = table[ids[r] - first_id], or the bits of +0 for ids outside of [first_id, first_id + table.rows). ids i32
  // 1 x rows, table [ids, width] f32 or bf16, out f32.
  virtual void embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out) = 0;

  // RMSNorm: out[r] = x[s] / sqrt(mean(x[s]^2) + epsilon) * gain, s = rows[r], or r where `rows` (i32, 1 x out.rows) is
  // empty. x f32, gain f32 1 x width, out f32, bf16 or i8, quantised from f32 in out.cuts. (Zhang and Sennrich 2019,
  // arXiv 1910.07467.)
  virtual void norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) = 0;

  // out = x W^T (+ bias) (+ out, when accumulating). x as the weight was packed for, bias f32 1 x outputs or empty,
  // out f32 or bf16 (f32 when accumulating), products summed in f32. A column's bits do not depend on which others the
  // weight has. A weight in pieces: each piece's product in f32 (+0 for an empty one), then their sums by neighbours,
  // ((0+1)+(2+3))+((4+5)+(6+7)), then (sum + bias) + out. So weights of one piece each, or of two, or of four, whose
  // f32 products are summed in the rest of this tree and then given to `add`, have the bits of one weight of eight.
  // A weight in i8, w ~ scale of output and piece * byte, takes x in i8 with its cuts, or f32 or bf16, which it
  // quantises in them first. A piece's product is the exact sum of products of bytes, in f32 times the row's scale, and
  // its outliers times the weight's bytes in rising columns, all that times the output's scale.
  virtual void matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate,
                      const Tensor& out) = 0;

  // out = (x + bias) + out: the end of a matmul that accumulates. x and out f32 of one shape, bias f32 1 x out.columns
  // or empty.
  virtual void add(const Tensor& x, const Tensor& bias, const Tensor& out) = 0;

  // Rotates every head of x [tokens, heads * head_size] in place, pairs (i, i + head_size / 2). (Su et al. 2021,
  // arXiv 2104.09864, in Hugging Face's half-split order.)
  virtual void rope(const Tensor& x, const RopeOptions& options) = 0;

  // Causal attention inside each sequence, whose own rows are computed: out[t, h] = sum_j softmax_j(scale * q[t,
  // h].k[j, g(h)]) v[j, g(h)]. q and out [tokens, query_heads * head_size], k and v [tokens, kv_heads * head_size], all
  // of one dtype; out may be bf16 where they are f32.
  virtual void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
                      const AttendOptions& options, const Tensor& out) = 0;

  // out[r, c] = activation(x[r, c]) * x[r, c + width], x [tokens, 2 width] f32 or bf16, out also i8, quantised from f32
  // in out.cuts.
  virtual void gate(const Tensor& x, Activation activation, const Tensor& out) = 0;

  // matmul of x and a weight of 2 out.columns outputs into `wide` (f32 or bf16), then gate of that, bit for bit. A
  // device that does both as one step leaves anything in `wide`.
  virtual void matmul_gate(const Tensor& x, const Weight& weight, const Tensor& bias, Activation activation,
                           const Tensor& wide, const Tensor& out);
  // Seconds that the gates in it took since the device was made; nothing where it is two steps for all operands.
  virtual std::optional<double> gate_seconds() const { return {}; }

  // The streamed head, in two steps, for vocabularies that may be split over ranks. hidden as the head was packed for,
  // quantised in one piece where that is i8; heads are not packed in pieces. Neither step holds more than 64 MiB of
  // logits at a time.
  //
  // out[r] = the logit of targets[r], bit for bit as `score` finds it, or the bits of +0 for a target outside of
  // [first_id, first_id + head.outputs()). targets i32, out f32, 1 x rows.
  virtual void target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets, std::int64_t first_id,
                             const Tensor& out) = 0;
  // The softmax of hidden W^T in parts. Should a device's `found` differ from the target_logits that it was given, by
  // products whose bits depend on a column's place, then `above` belongs to other logits: score again with `found`.
  virtual void score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question,
                     const ScoreParts& parts) = 0;
  virtual ScoreTime score_time() const = 0;

  // Does `body`, calls of this device, and adds the seconds that they take to `seconds`: at the latest when `finish` is
  // called, until which `seconds` must live.
  virtual void time(double& seconds, const std::function<void()>& body);

  // The machine's measured peak for products of this dtype with this device's threads, FLOP/s; takes about `seconds`.
  virtual double measure_peak(DType dtype, double seconds) = 0;
};

// The CPU device: oneDNN's matrix products, own kernels, threads of its own.
std::unique_ptr<Device> make_cpu_device(const DeviceOptions& options);

}  // namespace thresher::device
