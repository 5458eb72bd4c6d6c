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

}  // namespace

struct Transformer::Parts {
  device::Device& device;
  ModelConfig config;
  DType dtype;
  Capacity capacity;
  LoadReport report;
  Weights weights;
  std::optional<RopeTable> rope;
  std::int64_t arena_bytes = 0;
  Arena arena{device::Buffer()};
  std::vector<std::int32_t> rope_rows;  // on the host, grown once

  Parts(device::Device& on, base::FileSystem& files, const base::Path& directory, const ModelConfig& model,
        DType products, const Capacity& greatest)
      : device(on),
        config(model),
        dtype(products),
        capacity(greatest),
        weights(load_weights(device, files, directory, config, dtype, report)) {
    make_room();
  }

  // Everything that is sized by the capacity.
  void make_room() {
    rope.emplace(device, config, capacity);
    arena_bytes = bytes_needed();
    arena = Arena(device::Buffer());  // the old one goes before the new one comes
    arena = Arena(device.allocate(arena_bytes));
    rope_rows.reserve(static_cast<std::size_t>(capacity.tokens));
    device.reserve(capacity.tokens, capacity.tokens, capacity.top_k);
  }

  // The sum of what `score` takes for a full batch.
  std::int64_t bytes_needed() const {
    const std::int64_t tokens = capacity.tokens;
    const std::int64_t exchange =
        4 * Arena::bytes_of(DType::i32, 1, tokens) + Arena::bytes_of(DType::i32, 1, tokens + 1);
    const std::int64_t residual = Arena::bytes_of(DType::f32, tokens, config.hidden);
    const std::int64_t head = Arena::bytes_of(dtype, tokens, config.hidden) +
                              3 * Arena::bytes_of(DType::f32, 1, tokens) +
                              2 * Arena::bytes_of(DType::f32, tokens, capacity.top_k);
    return exchange + residual + std::max(head, Block::scratch_bytes(config, dtype, tokens));
  }

  void check(const PackedBatch& batch) const;
  Exchange upload(const PackedBatch& batch);
  void run_blocks(std::int64_t first, std::int64_t last, const Pass& pass, const Tensor& residual) const;
  void run_head(const Exchange& exchange, const Tensor& residual, ScoredTokens& out);
};

void Transformer::Parts::check(const PackedBatch& batch) const {
  const auto tokens = static_cast<std::int64_t>(batch.ids.size());
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

void Transformer::Parts::run_blocks(std::int64_t first, std::int64_t last, const Pass& pass,
                                    const Tensor& residual) const {
  for (std::int64_t layer = first; layer < last; ++layer)
    weights.blocks[static_cast<std::size_t>(layer)].apply(pass, residual);
}

void Transformer::Parts::run_head(const Exchange& exchange, const Tensor& residual, ScoredTokens& out) {
  const std::int64_t rows = exchange.targets.columns;
  const Tensor normed = arena.take(dtype, rows, config.hidden);
  device.norm(residual, exchange.scored_rows, weights.final_norm.view, config.norm_epsilon, normed);
  device::ScoreOutput scores{.logprob = arena.take(DType::f32, 1, rows),
                             .rank = arena.take(DType::i32, 1, rows),
                             .entropy = arena.take(DType::f32, 1, rows),
                             .top_id = {},
                             .top_logprob = {}};
  if (capacity.top_k > 0) {
    scores.top_id = arena.take(DType::i32, rows, capacity.top_k);
    scores.top_logprob = arena.take(DType::f32, rows, capacity.top_k);
  }
  device.score(normed, *weights.head, exchange.targets, scores);
  device.download(scores.logprob, host_row(out.logprob, DType::f32));
  device.download(scores.rank, host_row(out.rank, DType::i32));
  device.download(scores.entropy, host_row(out.entropy, DType::f32));
  if (capacity.top_k == 0) return;
  device.download(scores.top_id, tensor::matrix(out.top_id.data(), DType::i32, rows, capacity.top_k));
  device.download(scores.top_logprob, tensor::matrix(out.top_logprob.data(), DType::f32, rows, capacity.top_k));
}

Transformer::Transformer(device::Device& device, base::FileSystem& files, const base::Path& model_directory,
                         const ModelConfig& config, DType dtype, const Capacity& capacity)
    : parts_(std::make_unique<Parts>(device, files, model_directory, config, dtype, capacity)) {}

Transformer::~Transformer() = default;

void Transformer::score(const PackedBatch& batch, ScoredTokens& out) {
  Parts& parts = *parts_;
  parts.check(batch);
  const std::size_t rows = batch.scored_rows.size(), top = rows * static_cast<std::size_t>(parts.capacity.top_k);
  out.logprob.resize(rows);
  out.rank.resize(rows);
  out.entropy.resize(rows);
  out.top_id.resize(top);
  out.top_logprob.resize(top);
  if (rows == 0) return;

  const auto tokens = static_cast<std::int64_t>(batch.ids.size());
  std::int32_t longest = 0;
  for (std::size_t i = 0; i + 1 < batch.starts.size(); ++i)
    longest = std::max(longest, batch.starts[i + 1] - batch.starts[i]);
  parts.arena.reset();
  const Exchange exchange = parts.upload(batch);
  const Tensor residual = parts.arena.take(DType::f32, tokens, parts.config.hidden);
  const Pass pass{.device = parts.device,
                  .arena = parts.arena,
                  .dtype = parts.dtype,
                  .tokens = tokens,
                  .sequences = {exchange.starts, static_cast<std::int64_t>(batch.starts.size()) - 1, longest},
                  .rope = {.rows = exchange.rope_rows,
                           .cos = parts.rope->cos(),
                           .sin = parts.rope->sin(),
                           .head_size = parts.config.head_size,
                           .gain = {},
                           .epsilon = parts.config.norm_epsilon},
                  .norm_epsilon = parts.config.norm_epsilon};
  parts.device.embed(exchange.ids, parts.weights.table, 0, residual);
  parts.run_blocks(0, parts.config.layers, pass, residual);
  parts.run_head(exchange, residual, out);
}

void Transformer::grow(std::int64_t longest) {
  Capacity& capacity = parts_->capacity;
  if (longest <= capacity.longest) return;
  capacity.longest = std::max(longest, 2 * capacity.longest);
  capacity.tokens = std::max(capacity.tokens, capacity.longest);
  parts_->make_room();
}

const ModelConfig& Transformer::config() const {
  return parts_->config;
}
const LoadReport& Transformer::load_report() const {
  return parts_->report;
}
std::int64_t Transformer::arena_bytes() const {
  return parts_->arena_bytes;
}

}  // namespace thresher::model
