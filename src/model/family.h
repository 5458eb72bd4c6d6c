// What Hugging Face's configuration classes say about each architecture, as a table: where a family differs from the
// others, and what a field of config.json is when it is absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace thresher::model {

// Which layers look through the sliding window.
enum class WindowRule : std::uint8_t {
  none,     // no layer; the field means nothing
  all,      // every layer, when `sliding_window` is a number
  by_type,  // those that `layer_types` calls sliding_attention, or all when it is absent
  upper     // with `use_sliding_window`: those of `layer_types`, or from `max_window_layers` on
};

struct Family {
  std::string_view architecture, model_type;
  // Biases: fixed by the family, or read from `attention_bias` (then of q, k, v and o) and `mlp_bias`.
  bool qkv_bias = false;
  bool reads_attention_bias = false, reads_mlp_bias = false;
  bool qk_norm = false;
  WindowRule window = WindowRule::none;
  // Defaults of absent fields. Kv heads 0: as many as query heads. Head size 0: hidden / query heads.
  std::int64_t kv_heads = 0, head_size = 0, positions = 0;
  std::optional<std::int64_t> bos = std::nullopt, eos = std::nullopt;
};

// By architecture name; null when it is not supported.
const Family* family_of_architecture(std::string_view architecture);
const Family* family_of_model_type(std::string_view model_type);
// "LlamaForCausalLM, MistralForCausalLM, ...".
std::string supported_architectures();

}  // namespace thresher::model
