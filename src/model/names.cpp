#include "model/names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <numeric>
#include <string_view>

#include "thresher/base/check.h"
#include "thresher/base/log.h"

namespace thresher::model {
namespace {

using base::Exit;

// The same in every family of the table: what differs is which of them are there.
std::string_view suffix(Slot slot) {
  switch (slot) {
    case Slot::embedding:
      return "model.embed_tokens.weight";
    case Slot::head:
      return "lm_head.weight";
    case Slot::final_norm:
      return "model.norm.weight";
    case Slot::attention_norm:
      return "input_layernorm.weight";
    case Slot::mlp_norm:
      return "post_attention_layernorm.weight";
    case Slot::query:
      return "self_attn.q_proj.weight";
    case Slot::key:
      return "self_attn.k_proj.weight";
    case Slot::value:
      return "self_attn.v_proj.weight";
    case Slot::output:
      return "self_attn.o_proj.weight";
    case Slot::gate:
      return "mlp.gate_proj.weight";
    case Slot::up:
      return "mlp.up_proj.weight";
    case Slot::down:
      return "mlp.down_proj.weight";
    case Slot::query_bias:
      return "self_attn.q_proj.bias";
    case Slot::key_bias:
      return "self_attn.k_proj.bias";
    case Slot::value_bias:
      return "self_attn.v_proj.bias";
    case Slot::output_bias:
      return "self_attn.o_proj.bias";
    case Slot::gate_bias:
      return "mlp.gate_proj.bias";
    case Slot::up_bias:
      return "mlp.up_proj.bias";
    case Slot::down_bias:
      return "mlp.down_proj.bias";
    case Slot::query_gain:
      return "self_attn.q_norm.weight";
    case Slot::key_gain:
      return "self_attn.k_norm.weight";
  }
  return "";
}

// Buffers that the configuration determines.
bool is_derived(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name.ends_with("rotary_emb.cos_cached") ||
         name.ends_with("rotary_emb.sin_cached") || name.ends_with("self_attn.masked_bias");
}

class TensorCheck {
 public:
  TensorCheck(const Checkpoint& checkpoint, const ModelConfig& config, const std::string& directory)
      : checkpoint_(checkpoint), config_(config), directory_(directory) {}

  void expect(Slot slot, std::int64_t layer = 0) {
    const std::string name = tensor_name(slot, layer);
    const Checkpoint::Entry* entry = checkpoint_.find(name);
    if (!entry)
      base::fail(Exit::data, fmt::format("{}: tensor \"{}\" is missing; config.json calls for {} layers of {}",
                                         directory_, name, config_.layers, config_.architecture));
    const std::vector<std::int64_t> shape = tensor_shape(slot, config_);
    if (entry->tensor.shape != shape)
      base::fail(Exit::data, fmt::format("{}: tensor \"{}\" has the shape [{}], config.json calls for [{}]", directory_,
                                         name, fmt::join(entry->tensor.shape, ", "), fmt::join(shape, ", ")));
    if (!dtype_of(entry->tensor.dtype))
      base::fail(Exit::config, fmt::format("{}: tensor \"{}\" has the dtype {}; supported are F32, BF16, F16",
                                           directory_, name, entry->tensor.dtype));
    known_.emplace(name, slot);
  }

  void refuse_unknown() const {
    for (const auto& [name, entry] : checkpoint_.tensors()) {
      if (known_.contains(name) || is_derived(name)) continue;
      if (name.starts_with("model.") || name.starts_with("lm_head."))
        base::fail(Exit::config,
                   fmt::format("{}: tensor \"{}\" is no part of {} as config.json describes it; leaving it out "
                               "would change every number",
                               directory_, name, config_.architecture));
      base::warn(fmt::format("{}: tensor \"{}\" is outside of the decoder and not used", directory_, name));
    }
  }

  std::map<std::string, Slot> known() && { return std::move(known_); }

 private:
  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const std::string& directory_;
  std::map<std::string, Slot> known_;
};

}  // namespace

std::string tensor_name(Slot slot, std::int64_t layer) {
  if (slot == Slot::embedding || slot == Slot::head || slot == Slot::final_norm) return std::string(suffix(slot));
  return fmt::format("model.layers.{}.{}", layer, suffix(slot));
}

std::vector<std::int64_t> tensor_shape(Slot slot, const ModelConfig& config) {
  const std::int64_t queries = config.query_heads * config.head_size, keys = config.kv_heads * config.head_size;
  switch (slot) {
    case Slot::embedding:
    case Slot::head:
      return {config.vocabulary, config.hidden};
    case Slot::final_norm:
    case Slot::attention_norm:
    case Slot::mlp_norm:
    case Slot::output_bias:
    case Slot::down_bias:
      return {config.hidden};
    case Slot::query:
      return {queries, config.hidden};
    case Slot::key:
    case Slot::value:
      return {keys, config.hidden};
    case Slot::output:
      return {config.hidden, queries};
    case Slot::gate:
    case Slot::up:
      return {config.intermediate, config.hidden};
    case Slot::down:
      return {config.hidden, config.intermediate};
    case Slot::query_bias:
      return {queries};
    case Slot::key_bias:
    case Slot::value_bias:
      return {keys};
    case Slot::gate_bias:
    case Slot::up_bias:
      return {config.intermediate};
    case Slot::query_gain:
    case Slot::key_gain:
      return {config.head_size};
  }
  return {};
}

Pieces tensor_pieces(Slot slot, const ModelConfig& config) {
  const auto heads = [&](std::vector<std::int64_t> cuts) {
    for (std::int64_t& cut : cuts) cut *= config.head_size;
    return cuts;
  };
  switch (slot) {
    case Slot::embedding:
    case Slot::head:
      return {Axis::rows, vocabulary_cuts(config)};
    case Slot::query:
    case Slot::query_bias:
      return {Axis::rows, heads(query_head_cuts(config))};
    case Slot::output:
      return {Axis::columns, heads(query_head_cuts(config))};
    case Slot::key:
    case Slot::value:
    case Slot::key_bias:
    case Slot::value_bias: {
      std::vector<std::int64_t> every(static_cast<std::size_t>(config.kv_heads + 1));
      std::iota(every.begin(), every.end(), 0);
      return {Axis::rows, heads(std::move(every))};
    }
    case Slot::gate:
    case Slot::up:
    case Slot::gate_bias:
    case Slot::up_bias:
      return {Axis::rows, inner_cuts(config)};
    case Slot::down:
      return {Axis::columns, inner_cuts(config)};
    default:
      return {Axis::rows, {0, tensor_shape(slot, config).front()}};
  }
}

Range held_pieces(Slot slot, const Part& part, const ModelConfig& config) {
  const std::int64_t pieces = tensor_pieces(slot, config).count();
  switch (slot) {
    case Slot::key:
    case Slot::value:
    case Slot::key_bias:
    case Slot::value_bias:
      return kv_heads(part, config);
    default:
      return pieces == virtual_shards ? held_shards(part) : Range{0, pieces};
  }
}

std::vector<Slot> block_slots(const ModelConfig& config) {
  std::vector<Slot> slots{Slot::attention_norm, Slot::mlp_norm, Slot::query, Slot::key, Slot::value,
                          Slot::output,         Slot::gate,     Slot::up,    Slot::down};
  const auto add = [&](bool wanted, std::initializer_list<Slot> more) {
    for (const Slot slot : more)
      if (wanted) slots.push_back(slot);
  };
  add(config.qkv_bias, {Slot::query_bias, Slot::key_bias, Slot::value_bias});
  add(config.output_bias, {Slot::output_bias});
  add(config.mlp_bias, {Slot::gate_bias, Slot::up_bias, Slot::down_bias});
  add(config.qk_norm, {Slot::query_gain, Slot::key_gain});
  return slots;
}

std::map<std::string, Slot> check_tensors(const Checkpoint& checkpoint, const ModelConfig& config,
                                          const std::string& directory) {
  TensorCheck check(checkpoint, config, directory);
  const bool has_embedding = checkpoint.find(tensor_name(Slot::embedding));
  const bool has_head = checkpoint.find(tensor_name(Slot::head));
  if (!config.tied_head || has_embedding || !has_head) check.expect(Slot::embedding);
  if (!config.tied_head || has_head) check.expect(Slot::head);
  check.expect(Slot::final_norm);
  for (std::int64_t layer = 0; layer < config.layers; ++layer)
    for (const Slot slot : block_slots(config)) check.expect(slot, layer);
  check.refuse_unknown();
  return std::move(check).known();
}

}  // namespace thresher::model
