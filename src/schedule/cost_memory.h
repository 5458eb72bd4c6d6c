// Memory of one rank.
#pragma once

#include "thresher/schedule/cost.h"

namespace thresher::schedule {

// Where a rank stands, as far as its memory depends on it.
struct RankPlace {
  model::Part part;
  int threads = 1;
  int local = 1;       // ranks of its node
  bool reads = false;  // takes leases and reads documents
  int gathers = 0;     // rank zero: replicas whose parts wait there
};

constexpr double usable_memory = 0.95;  // of a device or a node; the rest is for what nobody counts

std::int64_t batch_tokens(const Demand& demand, const Machine& machine);
// Documents and scored tokens of a shard, the mean.
struct ShardSize {
  double documents = 0, tokens = 0, bytes = 0;
  double count = 0;  // shards of the corpus
};
ShardSize shard_size(const Demand& demand);
// Bytes of results per scored token and per document.
double bytes_per_token(const store::Columns& columns);
double bytes_per_document(const Demand& demand);

// Layers are streamed where the machine can and the demand allows it, as few as have to be.
Memory memory_of(const Demand& demand, const Machine& machine, const RankPlace& place);
// The least batch, and the bytes that larger ones leave for layers; without rates. The arguments must outlive it.
model::StreamDemand stream_demand(const Demand& demand, const Machine& machine, const RankPlace& place);

}  // namespace thresher::schedule
