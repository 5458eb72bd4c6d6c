// What config.json says about a Llama-shaped decoder, as plain data: the only place that knows architecture names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/device/device.h"
#include "thresher/tensor/dtype.h"

namespace thresher::model {

enum class RopeKind : std::uint8_t { plain, linear, dynamic, llama3, yarn };

// Numbers that a kind does not use stay at their defaults.
struct RopeScaling {
  RopeKind kind = RopeKind::plain;
  double factor = 1;
  std::int64_t original_positions = 0;
  double low_frequency_factor = 1, high_frequency_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;                        // yarn
  std::optional<double> attention_factor, mscale, mscale_all_dim;
  bool truncate = true;
};

struct ModelConfig {
  std::string architecture;  // "LlamaForCausalLM"
  std::int64_t layers = 0;
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_size = 0;
  std::int64_t vocabulary = 0;
  std::int64_t positions = 0;  // max_position_embeddings
  float norm_epsilon = 0;
  device::Activation activation = device::Activation::silu;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;
  bool tied_head = false;
  double rope_theta = 10000;
  RopeScaling rope;
  std::vector<std::int64_t> window;             // per layer: sliding window in tokens, 0 = all
  tensor::DType weights = tensor::DType::bf16;  // dtype named by the file, f32 where it names none
  std::optional<std::int64_t> bos, eos;

  // Parameters of one block's matrices, and of all weights (a tied head counted once).
  std::int64_t block_parameters() const;
  std::int64_t parameters() const;
  // FLOPs of scoring: per token through the blocks, per scored token through the head, and per pair of tokens
  // (query, visible key) in attention over all layers (full layers).
  double block_flops() const;
  double head_flops() const;
  double attention_flops() const;
};

constexpr std::int64_t config_size_limit = 1'000'000;  // bytes

// Reads and checks config.json. Throws base::Error: no_input, data (missing field, wrong type or range; names the field
// and the limit), config (an architecture or option that is not supported; names it).
ModelConfig read_config(base::FileSystem& files, const base::Path& model_directory);
ModelConfig parse_config(std::string_view json, const std::string& name);

}  // namespace thresher::model
