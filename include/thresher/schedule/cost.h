// What a job will cost on a layout: memory of each rank, time, energy, bytes. Pure arithmetic on a machine's rates.
//
// The formulas, for a batch of T tokens (sequences of S tokens, L layers, width d, inner width f, vocabulary V) on t
// tensor shards and p stages, with a device's rates G (products), A (attention), H (head) in FLOP/s, E in bytes/s and a
// link's latency a and bandwidth B:
//
//   attention half  T (2 P_a / (t G e(t)) + 4 Hq hd (S/2) / (t A(S)) + bytes_a (0.7/t + 0.3) / E) + AR
//   MLP half        T (2 P_m / (t G e(t)) + bytes_m (0.7/t + 0.3) / E) + AR
//   head            T 2 d V / (t H)           on the last stage, for the tokens that are scored; G with an int8 head
//   AR              a + 2 (t-1)/t b T d / B   on GPUs, b bytes a number: a ring (Thakur, Rabenseifner, Gropp 2005)
//                   log2(t) (a + b T d / B)   on CPUs: exchanges up one fixed tree
//   stage           the sum of its halves, and its boundary a + b T d / B, which GPUs hide behind their work
//   replica         T / slowest stage         batches stream, so that only filling and draining wait
//   copies          S / B - the stage's time, if more than 0: S bytes of layers that do not fit a GPU, from host memory
//                   at B bytes/s; T is as large as hides them (model/streaming.h)
//   fill and drain  (p - 1) stages, once a job (Huang et al. 2019, arXiv 1811.06965, with batches that never end)
//   tail            c / (c + s), c = 0.35 log2(D): the share of the time in which replicas have no shard left, with s
//                                             shards for each of D replicas; fitted to the simulation with ragged
//                                             shards (deviation 0.3 of the logarithm), see simulate.h
//
// FLOP counts are those of Megatron-LM's appendix (Narayanan et al. 2021, arXiv 2104.04473) without the backward pass.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "thresher/comm/grid.h"
#include "thresher/engine/window.h"
#include "thresher/model/config.h"
#include "thresher/model/partition.h"
#include "thresher/model/streaming.h"
#include "thresher/schedule/machine.h"
#include "thresher/schedule/output_mode.h"
#include "thresher/store/result.h"

namespace thresher::schedule {

using comm::Layout;

// Documents of about one length.
struct LengthClass {
  double tokens = 0;  // of each, the mean
  double documents = 0;
};

// What is fed and scored, with windows cut and leading tokens added.
struct Load {
  double documents = 0;
  double text_bytes = 0;
  double fed = 0;      // tokens through the blocks
  double scored = 0;   // tokens through the head
  double keys = 0;     // pairs (query, visible key)
  double longest = 0;  // tokens of the longest window
  // Tokens of a sequence that costs what the mix costs: twice the mean context.
  double length() const { return fed > 0 ? 2 * keys / fed : 0; }
};
Load load_of(std::span<const LengthClass> lengths, const engine::WindowRule& rule, std::int64_t lead,
             double text_bytes);

// A job, but for its layout.
struct Demand {
  model::ModelConfig config;
  tensor::DType dtype = tensor::DType::bf16;
  bool int8_head = false;  // with int8
  model::Streaming streaming = model::Streaming::automatic;
  Load load;
  store::Columns columns;
  std::int64_t tokens_per_batch = 0;  // 0 = the machine's, or more where layers are streamed
  double shard_documents = 512;
  double shard_bytes = 0;  // 0 = chosen, as a job does
  double id_bytes = 12;    // of a document's id, the mean
};

// Bytes of one rank.
struct Memory {
  double weights = 0;      // packed, and the embedding table
  double activations = 0;  // arena, position tables, the head's tiles
  double exchange = 0;     // buffers at stage boundaries, partial sums
  double rows = 0;         // shards read ahead, scores on their way
  double gather = 0;       // parts of all replicas that wait on rank zero
  double base = 0;         // program and libraries
  double loading = 0;      // all of it while the model is read, when a matrix is on the host as well
  int layers = 0;          // of this rank, at least half of each
  int streamed = 0;        // of them: not among the weights, but for two slots
  double pinned = 0;       // bytes of those, in the host's memory
  double total() const { return std::max(weights + activations + exchange + rows + gather + base, loading); }
};

// Seconds of one batch on one rank of a stage.
struct StageTime {
  double products = 0, attention = 0, elementwise = 0, head = 0, reduce = 0, boundary = 0;
  double copies = 0;  // of streamed layers, as far as they do not hide behind the rest
  double total() const { return products + attention + elementwise + head + reduce + boundary + copies; }
};

struct StageCost {
  model::Range halves;
  StageTime time;
  Memory memory;               // of its largest shard
  std::vector<Memory> shards;  // of each; `gather` is the first replica's alone
  // Of all shards, without what rank zero gathers.
  double group_memory() const;
};

double output_bytes(const Demand& demand);

struct Cost {
  Layout layout;
  int nodes = 1, ranks_per_node = 1;
  std::vector<StageCost> stages;
  int bottleneck = 0;         // the slowest stage
  double batch_tokens = 0;    // fed in a batch
  double batch_seconds = 0;   // between two batches of a replica that leave the last stage
  double imbalance = 0;       // slowest stage / mean stage - 1
  double sharing = 1;         // time of the batch / slowest stage: ranks that wait for each other's cores
  double shards = 0;          // of the corpus: what is leased and committed
  double fill = 0, tail = 0;  // shares of the job's time that go by so
  double output_bytes = 0, output_limit = 0;  // tokens/s that the results' way to the disk allows
  double tokens_per_second = 0;               // scored
  double seconds = 0;                         // scoring
  double load_seconds = 0;                    // reading the model
  double joules = 0, price = 0;
  double node_memory = 0;          // all ranks of the fullest node
  double node_pinned = 0;          // of it host memory that holds streamed layers
  bool groups_span_nodes = false;  // tensor groups

  double most_memory() const;  // of any rank
  bool streams() const { return node_pinned > 0; }
};

// Throws base::Error (usage) for layouts that the model cannot be cut into.
Cost cost_of(const Demand& demand, const Machine& machine, const Layout& layout);

}  // namespace thresher::schedule
