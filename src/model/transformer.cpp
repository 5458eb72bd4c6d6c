#include "thresher/model/transformer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "model/rope.h"
#include "model/weights.h"
#include "thresher/base/check.h"

namespace thresher::model {
namespace {

using tensor::Arena;
using tensor::DType;
using tensor::Tensor;

// What goes up with a batch and comes down after it.
struct Exchange {
  Tensor ids, starts, rope_rows, scored_rows, targets;
};

template <class T>
Tensor host_row(const std::vector<T>& values, DType dtype) {
  return tensor::row_vector(const_cast<T*>(values.data()), dtype, static_cast<std::int64_t>(values.size()));
}

StageOptions with_part(StageOptions options, const ModelConfig& config) {
  if (!options.part) options.part = whole(config);
  return options;
}

}  // namespace

struct Transformer::Parts {
  device::Device& device;
  ModelConfig config;
  StageOptions options;  // with a part
  std::unique_ptr<comm::Comm> alone;
  comm::Comm& tensor;
  double reducing = 0;
  LoadReport report;
  Weights weights;
  std::optional<RopeTable> rope;
  std::int64_t arena_bytes = 0;
  Arena arena{device::Buffer()};
  std::vector<std::int32_t> rope_rows;  // on the host, grown once

  Parts(device::Device& on, base::FileSystem& files, const base::Path& directory, const ModelConfig& model,
        const StageOptions& wanted)
      : device(on),
        config(model),
        options(with_part(wanted, model)),
        alone(options.tensor ? nullptr : comm::self_comm()),
        tensor(options.tensor ? *options.tensor : *alone),
        weights(load_weights(device, files, directory, config, options, report)) {
    if (tensor.size() != options.part->shards)
      base::fail(base::Exit::internal,
                 fmt::format("{} ranks for {} tensor shards", tensor.size(), options.part->shards));
    make_room();
  }

  // Everything that is sized by the capacity.
  void make_room() {
    const Capacity& capacity = options.capacity;
    rope.emplace(device, config, capacity);
    arena_bytes = activation_bytes(config, *options.part, options.dtype, capacity);
    arena = Arena(device::Buffer());  // the old one goes before the new one comes
    arena = Arena(device.allocate(arena_bytes));
    rope_rows.reserve(static_cast<std::size_t>(capacity.tokens));
    device.reserve(capacity.tokens, capacity.tokens, capacity.top_k);
  }

  void check(const PackedBatch& batch) const;
  Exchange upload(const PackedBatch& batch);
};

void Transformer::Parts::check(const PackedBatch& batch) const {
  const auto tokens = static_cast<std::int64_t>(batch.ids.size());
  const Capacity& capacity = options.capacity;
  const auto refuse = [](const std::string& message) { base::fail(base::Exit::internal, message); };
  if (tokens > capacity.tokens) refuse(fmt::format("a batch of {} tokens, room is for {}", tokens, capacity.tokens));
  if (batch.starts.empty() || batch.starts.front() != 0 || batch.starts.back() != tokens)
    refuse(fmt::format("sequences that do not cover a batch of {} tokens", tokens));
  for (std::size_t i = 0; i + 1 < batch.starts.size(); ++i)
    if (const std::int64_t length = batch.starts[i + 1] - batch.starts[i]; length < 1 || length > capacity.longest)
      refuse(fmt::format("a sequence of {} tokens, allowed are 1 to {}", length, capacity.longest));
  if (batch.targets.size() != batch.scored_rows.size())
    refuse(fmt::format("{} targets for {} scored rows", batch.targets.size(), batch.scored_rows.size()));
  std::int64_t previous = -1;
  for (const std::int32_t row : batch.scored_rows) {
    if (row <= previous || row >= tokens)
      refuse(fmt::format("scored row {} after row {} in a batch of {} tokens", row, previous, tokens));
    previous = row;
  }
  for (const auto* ids : {&batch.ids, &batch.targets})
    for (const std::int32_t id : *ids)
      if (id < 0 || id >= config.vocabulary)
        base::fail(base::Exit::data,
                   fmt::format("token id {} is outside of the model's vocabulary of {}: tokenizer and "
                               "model do not belong together",
                               id, config.vocabulary));
}

Exchange Transformer::Parts::upload(const PackedBatch& batch) {
  const auto place = [&](const std::vector<std::int32_t>& values) {
    const Tensor host = host_row(values, DType::i32), there = arena.take(DType::i32, 1, host.columns);
    device.upload(host, there);
    return there;
  };
  rope->assign(batch.starts, rope_rows);
  return {place(batch.ids), place(batch.starts), place(rope_rows), place(batch.scored_rows), place(batch.targets)};
}

Transformer::Transformer(device::Device& device, base::FileSystem& files, const base::Path& model_directory,
                         const ModelConfig& config, const StageOptions& options)
    : parts_(std::make_unique<Parts>(device, files, model_directory, config, options)) {}

Transformer::~Transformer() = default;

void Transformer::run(const PackedBatch& batch, std::span<const float> in, std::span<float> out, ScoredTokens& scores) {
  Parts& parts = *parts_;
  parts.check(batch);
  const ModelConfig& config = parts.config;
  const Part& part = *parts.options.part;
  const auto tokens = static_cast<std::int64_t>(batch.ids.size());
  std::int32_t longest = 0;
  for (std::size_t i = 0; i + 1 < batch.starts.size(); ++i)
    longest = std::max(longest, batch.starts[i + 1] - batch.starts[i]);
  parts.arena.reset();
  const Exchange exchange = parts.upload(batch);
  const Tensor residual = parts.arena.take(DType::f32, tokens, config.hidden);
  const Pass pass{
      .device = parts.device,
      .arena = parts.arena,
      .tensor = parts.tensor,
      .reducing = parts.reducing,
      .dtype = parts.options.dtype,
      .tokens = tokens,
      .sequences = {exchange.starts, static_cast<std::int64_t>(batch.starts.size()) - 1, longest, batch.starts},
      .rope = {.rows = exchange.rope_rows,
               .cos = parts.rope->cos(),
               .sin = parts.rope->sin(),
               .head_size = config.head_size,
               .gain = {},
               .epsilon = config.norm_epsilon},
      .norm_epsilon = config.norm_epsilon};
  if (embeds(part)) {
    parts.weights.embedding.apply(pass, exchange.ids, residual);
  } else {
    parts.device.upload(tensor::matrix(const_cast<float*>(in.data()), DType::f32, tokens, config.hidden), residual);
  }
  for (const HalfBlock& half : parts.weights.halves) half.apply(pass, residual);
  if (!model::scores(part, config)) {
    parts.device.download(residual, tensor::matrix(out.data(), DType::f32, tokens, config.hidden));
  } else if (batch.targets.empty()) {
    scores = {};
  } else {
    parts.weights.head.score(pass, residual, exchange.scored_rows, exchange.targets, parts.options.capacity.top_k,
                             scores);
  }
}

void Transformer::grow(std::int64_t longest) {
  Capacity& capacity = parts_->options.capacity;
  if (longest <= capacity.longest) return;
  capacity.longest = std::max(longest, 2 * capacity.longest);
  capacity.tokens = std::max(capacity.tokens, capacity.longest);
  parts_->make_room();
}

const ModelConfig& Transformer::config() const {
  return parts_->config;
}
const Part& Transformer::part() const {
  return *parts_->options.part;
}
const LoadReport& Transformer::load_report() const {
  return parts_->report;
}
double Transformer::reduce_seconds() const {
  return parts_->reducing;
}
std::int64_t Transformer::arena_bytes() const {
  return parts_->arena_bytes;
}

// The sum of what `run` takes for a full batch.
std::int64_t activation_bytes(const ModelConfig& config, const Part& part, DType dtype, const Capacity& capacity) {
  const std::int64_t tokens = capacity.tokens;
  const std::int64_t exchange = 4 * Arena::bytes_of(DType::i32, 1, tokens) + Arena::bytes_of(DType::i32, 1, tokens + 1);
  const std::int64_t residual = Arena::bytes_of(DType::f32, tokens, config.hidden);
  const std::int64_t head = scores(part, config) ? Head::scratch_bytes(config, dtype, capacity) : 0;
  return exchange + residual + std::max(head, HalfBlock::scratch_bytes(config, part, dtype, tokens));
}

}  // namespace thresher::model
