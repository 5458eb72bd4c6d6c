// Counts that follow from a configuration: parameters and FLOPs.
#include "thresher/model/config.h"

namespace thresher::model {

std::int64_t ModelConfig::block_parameters() const {
  const std::int64_t queries = query_heads * head_size, keys = kv_heads * head_size;
  return hidden * (queries + 2 * keys) + queries * hidden + 3 * hidden * intermediate;
}

std::int64_t ModelConfig::parameters() const {
  const std::int64_t queries = query_heads * head_size, keys = kv_heads * head_size;
  std::int64_t block = block_parameters() + 2 * hidden;
  if (qkv_bias) block += queries + 2 * keys;
  if (output_bias) block += hidden;
  if (mlp_bias) block += 2 * intermediate + hidden;
  if (qk_norm) block += 2 * head_size;
  return layers * block + hidden + vocabulary * hidden * (tied_head ? 1 : 2);
}

double ModelConfig::block_flops() const {
  return 2.0 * static_cast<double>(layers) * static_cast<double>(block_parameters());
}

double ModelConfig::head_flops() const {
  return 2.0 * static_cast<double>(hidden) * static_cast<double>(vocabulary);
}

double ModelConfig::attention_flops() const {
  return 4.0 * static_cast<double>(query_heads * head_size) * static_cast<double>(layers);
}

}  // namespace thresher::model
