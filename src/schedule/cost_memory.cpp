#include "schedule/cost_memory.h"

#include <algorithm>
#include <numeric>

#include "thresher/model/precision.h"
#include "thresher/model/transformer.h"
#include "thresher/schedule/coordinator.h"
#include "thresher/schedule/plan.h"

namespace thresher::schedule {
namespace {

using tensor::DType;

constexpr double shards_held = 4;   // read ahead, in work, waiting for their last window
constexpr double parts_held = 4;    // posted and not committed
constexpr double head_tile = 1024;  // columns of the vocabulary that a head's tile has
constexpr double head_rows = 256;   // and rows
constexpr double head_limit = 64.0 * 1024 * 1024;
constexpr double mib = 1024.0 * 1024;
constexpr double leader_base = 3 * mib;      // corpus, reader thread
constexpr double zero_base = 6 * mib;        // coordinator, its thread, HDF5's buffers for writing
constexpr double token_bytes = 250;          // of a tokenizer, for each token of its vocabulary, with its merges
constexpr double library_blocks = 32 * mib;  // glibc's DEFAULT_MMAP_THRESHOLD_MAX
constexpr double thread_scratch = 0.72e6;    // attention's, of each thread

double as_double(std::int64_t value) {
  return static_cast<double>(value);
}

double element(DType dtype) {
  return as_double(tensor::size_of(dtype));
}

// Jobs in int8 end with a sample in bf16: what that takes is the most.
void add_weights(const Demand& demand, const model::Part& part, Memory& memory) {
  const model::ModelConfig& config = demand.config;
  const DType held = model::dense(demand.dtype);
  const double ids = as_double(model::vocabulary(part, config).count()) * as_double(config.hidden);
  const double table_element =
      held == DType::bf16 || config.weights == DType::bf16 ? element(DType::bf16) : element(DType::f32);
  const double table = model::embeds(part) ? ids : 0, all = as_double(model::parameters(part, config));
  memory.weights = (all - table) * element(held) + table * table_element;

  // While loading one matrix is on the host as it is stored: the vocabulary's first, when nothing else is there yet.
  const double stored = element(config.weights);
  const double head = model::scores(part, config) ? ids * element(held) : 0;
  const double first = table > 0 || head > 0 ? ids * stored + head + table * table_element : 0;
  const double widest = 2 * as_double(model::inner(part, config).count() * config.hidden) * stored;
  memory.loading = memory.base + std::max(first, memory.weights + widest);
  // What held a matrix while its numbers were made longer is not all given back (measured), unless the C library took
  // it from the system for that matrix alone.
  if (element(held) > stored) memory.base += std::min(library_blocks, 1.5 * widest * element(held) / stored);
}

// The arena of a batch (as Transformer sizes it), the tables of positions, and what the device keeps per thread.
void add_activations(const Demand& demand, const Machine& machine, const RankPlace& place, Memory& memory) {
  const model::ModelConfig& config = demand.config;
  const double tokens = as_double(batch_tokens(demand, machine)), hidden = as_double(config.hidden);
  const DType dense = model::dense(demand.dtype);
  const double held = element(dense);
  const bool scores = model::scores(place.part, config);
  const auto longest = static_cast<std::int64_t>(std::max(1.0, demand.load.longest));
  memory.activations = as_double(model::activation_bytes(config, place.part, dense,
                                                         {batch_tokens(demand, machine), longest, demand.columns.top_k},
                                                         machine.shared_cores() ? 1 : 2));
  memory.activations += as_double(longest * config.head_size) * 8;
  if (!machine.shared_cores()) return;
  memory.activations += place.threads * thread_scratch;
  if (!scores) return;
  const double tiles = as_double(model::vocabulary(place.part, config).count()) / head_tile + 1;
  memory.activations += place.threads * head_rows * (head_tile * 4 + hidden * held) +
                        std::min(head_limit, tokens * tiles * (16 + 8 * demand.columns.top_k));
}

}  // namespace

std::int64_t batch_tokens(const Demand& demand, const Machine& machine) {
  const std::int64_t asked = demand.tokens_per_batch > 0 ? demand.tokens_per_batch : machine.tokens_per_batch;
  return std::max(asked, static_cast<std::int64_t>(demand.load.longest));
}

ShardSize shard_size(const Demand& demand) {
  const Load& load = demand.load;
  if (load.documents < 1) return {.documents = 1, .tokens = 1, .bytes = 1, .count = 1};
  const double bytes = std::max(1.0, load.text_bytes / load.documents);
  const double limit = demand.shard_bytes > 0
                           ? demand.shard_bytes
                           : static_cast<double>(default_shard_bytes(static_cast<std::int64_t>(load.text_bytes)));
  const double documents = std::clamp(limit / bytes, 1.0, std::min(demand.shard_documents, load.documents));
  return {.documents = documents,
          .tokens = documents * load.scored / load.documents,
          .bytes = documents * bytes,
          .count = std::max(1.0, load.documents / documents)};
}

// results.h5: id, logprob, rank, entropy of each token; K ids and logprobs.
double bytes_per_token(const store::Columns& columns) {
  return (columns.per_token ? 16 : 0) + 8.0 * columns.top_k;
}

// status, tokens, logprob, bytes, words, the id and its offset; is_greedy, or the tokens' offset.
double bytes_per_document(const Demand& demand) {
  return 1 + 4 * 8 + 8 + demand.id_bytes + (demand.columns.pairs ? 1 : 0) + (demand.columns.per_token ? 8 : 0);
}

double output_bytes(const Demand& demand) {
  return demand.load.documents * bytes_per_document(demand) + demand.load.scored * bytes_per_token(demand.columns);
}

namespace {

Memory resident_memory(const Demand& demand, const Machine& machine, const RankPlace& place) {
  Memory memory;
  memory.base = as_double(machine.base_memory) +
                (place.reads ? leader_base + token_bytes * as_double(demand.config.vocabulary) : 0);
  add_weights(demand, place.part, memory);
  add_activations(demand, machine, place, memory);
  const bool first = model::embeds(place.part), last = model::scores(place.part, demand.config);
  const double buffers = (first ? 0 : 2) + (last ? 0 : 2) + (place.part.shards > 1 ? 1 : 0);
  memory.exchange =
      buffers * as_double(batch_tokens(demand, machine)) * as_double(demand.config.hidden) * machine.exchange_bytes;
  const ShardSize shard = shard_size(demand);
  const double part = shard.tokens * bytes_per_token(demand.columns) + shard.documents * bytes_per_document(demand);
  // Text or ids, a score for each token, and the columns asked for.
  if (place.reads) memory.rows = shards_held * (shard.bytes + shard.tokens * 8) + parts_held * part;
  if (place.reads) memory.rows += shards_held * shard.tokens * bytes_per_token(demand.columns);
  const bool gathered = output_mode(output_bytes(demand)) == OutputMode::gather;
  if (place.gathers > 0)
    memory.gather = zero_base + (gathered ? std::min<double>(place.gathers * parts_held, parts_at_once) * part : 0);
  return memory;
}

// What all else leaves of a GPU for layers that would take `layers` bytes.
std::int64_t room_for_layers(const Memory& memory, const Machine& machine, std::int64_t layers) {
  const double others =
      memory.weights + memory.activations + memory.exchange + memory.rows + memory.gather + memory.base;
  return static_cast<std::int64_t>(usable_memory * as_double(machine.device_memory) - others) + layers;
}

}  // namespace

Memory memory_of(const Demand& demand, const Machine& machine, const RankPlace& place) {
  Memory memory = resident_memory(demand, machine, place);
  if (machine.copy <= 0) return memory;
  const auto layers = model::layer_bytes(demand.config, place.part, demand.dtype);
  const std::int64_t all = std::accumulate(layers.begin(), layers.end(), std::int64_t{0});
  const auto plan = model::plan_stream(layers, room_for_layers(memory, machine, all), demand.streaming);
  memory.layers = static_cast<int>(layers.size());
  if (!plan || plan->count() == 0) return memory;
  memory.weights += as_double(plan->device_bytes() - all);
  memory.loading = 0;  // matrices are read into the host's memory
  memory.streamed = plan->count();
  memory.pinned = as_double(plan->bytes);
  return memory;
}

model::StreamDemand stream_demand(const Demand& demand, const Machine& machine, const RankPlace& place) {
  model::StreamDemand stream{.layers = model::layer_bytes(demand.config, place.part, demand.dtype),
                             .tokens = batch_tokens(demand, machine)};
  const std::int64_t all = std::accumulate(stream.layers.begin(), stream.layers.end(), std::int64_t{0});
  stream.room = [&demand, &machine, &place, all](std::int64_t tokens) {
    Demand sized = demand;
    sized.tokens_per_batch = tokens;
    return room_for_layers(resident_memory(sized, machine, place), machine, all);
  };
  return stream;
}

}  // namespace thresher::schedule
