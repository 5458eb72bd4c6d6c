#include "thresher/model/transformer.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "model/layer_stream.h"
#include "model/rope.h"
#include "model/weights.h"
#include "thresher/base/check.h"
#include "thresher/comm/ending.h"
#include "thresher/device/row_runs.h"
#include "thresher/model/precision.h"

namespace thresher::model {
namespace {

using tensor::Arena;
using tensor::DType;
using tensor::Tensor;

// The numbers that go up with a batch, one after another in some memory; i32.
struct Inputs {
  Tensor ids, starts, rope_rows, scored_rows, targets;
};

Inputs take_inputs(Arena& arena, const PackedBatch& batch) {
  const auto take = [&](const std::vector<std::int32_t>& values) {
    return arena.take(DType::i32, 1, static_cast<std::int64_t>(values.size()));
  };
  return {take(batch.ids), take(batch.starts), take(batch.ids), take(batch.scored_rows), take(batch.targets)};
}

std::int64_t input_bytes(const Capacity& capacity) {
  return 4 * Arena::bytes_of(DType::i32, 1, capacity.tokens) + Arena::bytes_of(DType::i32, 1, capacity.tokens + 1);
}

void write(const std::vector<std::int32_t>& values, const Tensor& to) {
  std::copy(values.begin(), values.end(), to.as<std::int32_t>());
}

// What a batch holds while it is under way.
struct Slot {
  Slot(device::Device& device, const Capacity& capacity)
      : inputs(device.allocate_host(input_bytes(capacity))), mark(device.make_mark()) {}

  Arena inputs;                    // on the host
  device::Buffer hidden;           // of the rows to be scored, where the next batch begins before this one is taken
  std::optional<Scoring> scoring;  // of a part that scores
  bool asks = false;               // there are rows to be scored
  bool settled = false;            // `scores` are there
  ScoredTokens scores;
  std::unique_ptr<device::Mark> mark;  // behind the batch
};

StageOptions with_part(StageOptions options, const ModelConfig& config) {
  if (!options.part) options.part = whole(config);
  return options;
}

}  // namespace

std::int64_t PackedBatch::longest() const {
  std::int64_t longest = 0;
  for (std::int64_t i = 0; i < sequences(); ++i) longest = std::max(longest, length(i));
  return longest;
}

struct Transformer::Parts {
  device::Device& device;
  ModelConfig config;
  StageOptions options;  // with a part
  std::unique_ptr<comm::Comm> alone;
  comm::Comm& tensor;
  std::unique_ptr<comm::DeviceSums> by_host;
  comm::DeviceSums& sums;
  LoadReport report;
  Weights weights;
  std::optional<LayerStream> stream;
  std::optional<RopeTable> rope;
  std::int64_t arena_bytes = 0;
  Arena arena{device::Buffer()};
  std::vector<std::int32_t> rope_rows;  // on the host, grown once
  std::vector<device::RowRun> runs;     // what sequences of the newest batch begin with, see device::Sequences
  std::vector<std::int32_t> run_starts;
  std::deque<Slot> slots;  // used in turn
  std::size_t oldest = 0, under_way = 0;

  Parts(device::Device& on, base::FileSystem& files, const base::Path& directory, const ModelConfig& model,
        const StageOptions& wanted)
      : device(on),
        config(model),
        options(with_part(wanted, model)),
        alone(options.tensor ? nullptr : comm::self_comm()),
        tensor(options.tensor ? *options.tensor : *alone),
        by_host(options.sums ? nullptr : comm::host_sums(tensor, on)),
        sums(options.sums ? *options.sums : *by_host) {
    if (tensor.size() != options.part->shards)
      base::fail(base::Exit::internal,
                 fmt::format("{} ranks for {} tensor shards", tensor.size(), options.part->shards));
    if (options.dtype == DType::i8 && !device.quantises())
      base::fail(base::Exit::config,
                 fmt::format("the {} device has no products in int8: use --dtype bf16 there", device.kind()));
    load(files, directory);
  }

  void load(base::FileSystem& files, const base::Path& directory) {
    WeightLoader loader(device, files, directory, config, options);
    loader.load_ends(weights);
    make_room();
    const StreamPlan plan = loader.load_layers(weights);
    stream.emplace(device, weights.halves, options.part->halves.first, plan);
    report = loader.report();
  }

  // Everything that is sized by the capacity.
  void make_room() {
    const Capacity& capacity = options.capacity;
    rope.emplace(device, config, capacity);
    const std::int64_t rows =
        room() > 1 && scores(*options.part, config) ? Head::rows_bytes(config, options.dtype, capacity) : 0;
    arena_bytes = activation_bytes(config, *options.part, options.dtype, capacity, room());
    slots.clear();
    arena = Arena(device::Buffer());  // the old one goes before the new one comes
    arena = Arena(device.allocate(arena_bytes - room() * rows));
    for (int i = 0; i < room(); ++i) {
      Slot& slot = slots.emplace_back(device, capacity);
      if (rows > 0) slot.hidden = device.allocate(rows);
      if (scores(*options.part, config)) slot.scoring.emplace(device, tensor, weights.head, capacity);
    }
    rope_rows.reserve(static_cast<std::size_t>(capacity.tokens));
    device.reserve(capacity.tokens, capacity.tokens, capacity.top_k);
  }

  int room() const { return device.host_memory() ? 1 : 2; }
  Slot& slot_of(std::size_t batch) { return slots[(oldest + batch) % slots.size()]; }

  void check(const PackedBatch& batch) const;
  void check_inherited(const PackedBatch& batch) const;
  void find_runs(const PackedBatch& batch);
  Inputs upload(const PackedBatch& batch, const Inputs& host);
  Pass pass_of(const PackedBatch& batch, const Inputs& inputs);
  void ask(const Pass& pass, const Tensor& residual, const Inputs& inputs, const Tensor& host_targets, Slot& slot);
  void settle(Slot& slot);
};

void Transformer::Parts::check(const PackedBatch& batch) const {
  const auto tokens = static_cast<std::int64_t>(batch.ids.size());
  const Capacity& capacity = options.capacity;
  const auto refuse = [](const std::string& message) { base::fail(base::Exit::internal, message); };
  if (tokens > capacity.tokens) refuse(fmt::format("a batch of {} tokens, room is for {}", tokens, capacity.tokens));
  if (batch.starts.empty() || batch.starts.front() != 0 || batch.starts.back() != tokens)
    refuse(fmt::format("sequences that do not cover a batch of {} tokens", tokens));
  if (!batch.inherited.empty()) check_inherited(batch);
  for (std::int64_t i = 0; i < batch.sequences(); ++i)
    if (const std::int64_t length = batch.length(i); length < 1 || length > capacity.longest)
      refuse(fmt::format("a sequence of {} tokens, allowed are 1 to {}", length, capacity.longest));
  if (batch.targets.size() != batch.scored_rows.size())
    refuse(fmt::format("{} targets for {} scored rows", batch.targets.size(), batch.scored_rows.size()));
  if (static_cast<std::int64_t>(batch.targets.size()) > capacity.tokens)
    refuse(fmt::format("{} scored rows, room is for {}", batch.targets.size(), capacity.tokens));
  for (const std::int32_t row : batch.scored_rows)
    if (row < 0 || row >= tokens) refuse(fmt::format("scored row {} in a batch of {} tokens", row, tokens));
  for (const auto* ids : {&batch.ids, &batch.targets})
    for (const std::int32_t id : *ids)
      if (id < 0 || id >= config.vocabulary)
        base::fail(base::Exit::data,
                   fmt::format("token id {} is outside of the model's vocabulary of {}: tokenizer and "
                               "model do not belong together",
                               id, config.vocabulary));
}

void Transformer::Parts::check_inherited(const PackedBatch& batch) const {
  if (!device.shares_prefixes() || config.rope.kind == RopeKind::dynamic)
    base::fail(base::Exit::internal, "sequences that begin with rows of others, which this device or model cannot do");
  const auto sequences = static_cast<std::size_t>(batch.sequences());
  if (batch.inherited.size() != sequences)
    base::fail(base::Exit::internal,
               fmt::format("{} sequences, but {} numbers of inherited tokens", sequences, batch.inherited.size()));
  for (std::size_t i = 0; i < sequences; ++i) {
    const std::int64_t most = i == 0 ? 0 : batch.length(static_cast<std::int64_t>(i) - 1);
    if (batch.starts[i + 1] < batch.starts[i] || batch.inherited[i] < 0 || batch.inherited[i] > most)
      base::fail(base::Exit::internal, fmt::format("a sequence of {} tokens begins with {} tokens of one of {}",
                                                   batch.starts[i + 1] - batch.starts[i], batch.inherited[i], most));
  }
}

// In one copy: both sides are laid out alike.
Inputs Transformer::Parts::upload(const PackedBatch& batch, const Inputs& host) {
  rope->assign(batch.starts, batch.inherited, rope_rows);
  write(batch.ids, host.ids);
  write(batch.starts, host.starts);
  write(rope_rows, host.rope_rows);
  write(batch.scored_rows, host.scored_rows);
  write(batch.targets, host.targets);
  arena.reset();
  const Inputs inputs = take_inputs(arena, batch);
  const std::int64_t numbers = arena.mark() / tensor::size_of(DType::i32);
  device.queue_upload(tensor::row_vector(host.ids.data, DType::i32, numbers),
                      tensor::row_vector(inputs.ids.data, DType::i32, numbers));
  return inputs;
}

void Transformer::Parts::find_runs(const PackedBatch& batch) {
  runs.clear();
  run_starts.clear();
  if (batch.inherited.empty()) return;
  device::RowChain chain;
  run_starts.push_back(0);
  for (std::size_t i = 0; i < batch.inherited.size(); ++i) {
    chain.next(batch.inherited[i], batch.starts[i], batch.starts[i + 1] - batch.starts[i]);
    runs.insert(runs.end(), chain.inherited().begin(), chain.inherited().end());
    run_starts.push_back(static_cast<std::int32_t>(runs.size()));
  }
}

Pass Transformer::Parts::pass_of(const PackedBatch& batch, const Inputs& inputs) {
  find_runs(batch);
  return {.device = device,
          .arena = arena,
          .sums = sums,
          .dtype = dense(options.dtype),
          .quantised = options.dtype == DType::i8,
          .whole = {0, config.hidden},
          .tokens = static_cast<std::int64_t>(batch.ids.size()),
          .sequences = {.starts = inputs.starts,
                        .count = batch.sequences(),
                        .longest = batch.longest(),
                        .host_starts = batch.starts,
                        .runs = runs,
                        .run_starts = run_starts},
          .rope = {.rows = inputs.rope_rows,
                   .cos = rope->cos(),
                   .sin = rope->sin(),
                   .head_size = config.head_size,
                   .gain = {},
                   .epsilon = config.norm_epsilon},
          .norm_epsilon = config.norm_epsilon};
}

void Transformer::Parts::ask(const Pass& pass, const Tensor& residual, const Inputs& inputs, const Tensor& host_targets,
                             Slot& slot) {
  const std::int64_t rows = inputs.targets.columns;
  slot.scoring->begin(
      pass, {.residual = residual,
             .rows = inputs.scored_rows,
             .targets = inputs.targets,
             .host_targets = host_targets,
             .hidden = weights.head.weight->dtype() == DType::i8 ? arena.take_quantised(rows, pass.whole)
                       : slot.hidden.data() ? tensor::matrix(slot.hidden.data(), pass.dtype, rows, residual.columns)
                                            : arena.take(pass.dtype, rows, residual.columns),
             .top_k = options.capacity.top_k});
}

void Transformer::Parts::settle(Slot& slot) {
  if (slot.settled) return;
  slot.mark->wait();
  comm::throw_if_cancelled();
  if (slot.asks) {
    slot.scoring->finish(slot.scores);
  } else {
    slot.scores = {};
  }
  slot.settled = true;
}

Transformer::Transformer(device::Device& device, base::FileSystem& files, const base::Path& model_directory,
                         const ModelConfig& config, const StageOptions& options)
    : parts_(std::make_unique<Parts>(device, files, model_directory, config, options)) {}

// Copies may still be under way to memory that ends here.
Transformer::~Transformer() {
  try {
    parts_->device.finish();
  } catch (const base::Error&) {
    // Whoever wants the scores has asked for them.
  }
}

void Transformer::begin(const PackedBatch& batch, const Boundary& boundary) {
  Parts& parts = *parts_;
  parts.check(batch);
  if (full()) base::fail(base::Exit::internal, fmt::format("{} batches are under way already", room()));
  const Part& part = *parts.options.part;
  Slot& slot = parts.slot_of(parts.under_way);
  slot.inputs.reset();
  const Inputs host = take_inputs(slot.inputs, batch), inputs = parts.upload(batch, host);
  const Tensor residual =
      parts.arena.take(DType::f32, static_cast<std::int64_t>(batch.ids.size()), parts.config.hidden);
  const Pass pass = parts.pass_of(batch, inputs);
  if (embeds(part)) {
    parts.weights.embedding.apply(pass, inputs.ids, residual);
  } else {
    boundary.fill(residual);
  }
  for (std::size_t i = 0; i < parts.weights.halves.size(); ++i) {
    parts.weights.halves[i].apply(pass, residual);
    parts.stream->passed(i);
  }
  const bool scores = model::scores(part, parts.config);
  slot.asks = scores && !batch.targets.empty();
  if (slot.asks) parts.ask(pass, residual, inputs, host.targets, slot);
  if (!scores) boundary.pass_on(residual);
  slot.settled = false;
  slot.mark->set();
  // Here all shards are at the same batch.
  if (slot.asks && parts.tensor.size() > 1) parts.settle(slot);
  ++parts.under_way;
}

void Transformer::take(ScoredTokens& scores) {
  Parts& parts = *parts_;
  if (parts.under_way == 0) base::fail(base::Exit::internal, "scores of no batch are asked for");
  Slot& slot = parts.slot_of(0);
  parts.settle(slot);
  std::swap(scores, slot.scores);
  parts.oldest = (parts.oldest + 1) % parts.slots.size();
  --parts.under_way;
}

bool Transformer::done() {
  if (parts_->under_way == 0) return true;
  const Slot& slot = parts_->slot_of(0);
  return slot.settled || slot.mark->passed();
}

int Transformer::under_way() const {
  return static_cast<int>(parts_->under_way);
}
int Transformer::room() const {
  return parts_->room();
}

void Transformer::rehearse() {
  const Parts& parts = *parts_;
  const std::int64_t tokens =
      std::min<std::int64_t>({2, parts.options.capacity.tokens, parts.options.capacity.longest});
  PackedBatch batch;
  batch.ids.assign(static_cast<std::size_t>(tokens), 0);
  batch.starts.push_back(static_cast<std::int32_t>(tokens));
  batch.scored_rows = {0};
  batch.targets = {0};
  std::vector<float> zeros(static_cast<std::size_t>(tokens * parts.config.hidden));
  const auto fill = [&](const Tensor& residual) {
    parts.device.upload(tensor::matrix(zeros.data(), DType::f32, residual.rows, residual.columns), residual);
  };
  begin(batch, {.fill = fill, .pass_on = [](const Tensor&) {}});
  ScoredTokens scores;
  take(scores);
}

void Transformer::grow(std::int64_t longest) {
  Capacity& capacity = parts_->options.capacity;
  if (longest <= capacity.longest) return;
  std::vector<ScoredTokens> taken(parts_->under_way);
  for (ScoredTokens& scores : taken) take(scores);
  capacity.longest = std::max(longest, 2 * capacity.longest);
  capacity.tokens = std::max(capacity.tokens, capacity.longest);
  parts_->make_room();
  for (ScoredTokens& scores : taken) {
    Slot& slot = parts_->slot_of(parts_->under_way++);
    slot.settled = true;
    slot.scores = std::move(scores);
  }
}

device::Device& Transformer::device() const {
  return parts_->device;
}
const ModelConfig& Transformer::config() const {
  return parts_->config;
}
const Capacity& Transformer::capacity() const {
  return parts_->options.capacity;
}
const Part& Transformer::part() const {
  return *parts_->options.part;
}
const LoadReport& Transformer::load_report() const {
  return parts_->report;
}
double Transformer::reduce_seconds() const {
  return parts_->sums.seconds();
}
std::int64_t Transformer::arena_bytes() const {
  return parts_->arena_bytes;
}

// The sum of what `begin` takes for a full batch.
std::int64_t activation_bytes(const ModelConfig& config, const Part& part, DType dtype, const Capacity& capacity,
                              int under_way) {
  const std::int64_t residual = Arena::bytes_of(DType::f32, capacity.tokens, config.hidden);
  const std::int64_t rows = scores(part, config) ? Head::rows_bytes(config, dtype, capacity) : 0;
  const std::int64_t head =
      scores(part, config) ? Head::scratch_bytes(capacity) + (under_way == 1 ? rows : 0) : std::int64_t{0};
  return input_bytes(capacity) + residual +
         std::max(head, HalfBlock::scratch_bytes(config, part, dtype, capacity.tokens)) +
         (under_way == 1 ? 0 : under_way * rows);
}

}  // namespace thresher::model
