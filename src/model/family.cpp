#include "model/family.h"

#include <array>

namespace thresher::model {
namespace {

// From configuration_{llama,mistral,ministral,qwen2,qwen3}.py of transformers 5.
constexpr std::array families{
    Family{.architecture = "LlamaForCausalLM",
           .model_type = "llama",
           .reads_attention_bias = true,
           .reads_mlp_bias = true,
           .positions = 2048,
           .bos = 1,
           .eos = 2},
    Family{.architecture = "MistralForCausalLM",
           .model_type = "mistral",
           .window = WindowRule::all,
           .kv_heads = 8,
           .positions = 131072,
           .bos = 1,
           .eos = 2},
    Family{.architecture = "MinistralForCausalLM",
           .model_type = "ministral",
           .window = WindowRule::by_type,
           .kv_heads = 8,
           .positions = 131072,
           .bos = 1,
           .eos = 2},
    Family{.architecture = "Qwen2ForCausalLM",
           .model_type = "qwen2",
           .qkv_bias = true,
           .window = WindowRule::upper,
           .kv_heads = 32,
           .positions = 32768},
    Family{.architecture = "Qwen3ForCausalLM",
           .model_type = "qwen3",
           .reads_attention_bias = true,
           .qk_norm = true,
           .window = WindowRule::upper,
           .kv_heads = 32,
           .head_size = 128,
           .positions = 32768},
};

}  // namespace

const Family* family_of_architecture(std::string_view architecture) {
  for (const Family& family : families)
    if (family.architecture == architecture) return &family;
  return nullptr;
}

const Family* family_of_model_type(std::string_view model_type) {
  for (const Family& family : families)
    if (family.model_type == model_type) return &family;
  return nullptr;
}

std::string supported_architectures() {
  std::string names;
  for (const Family& family : families) {
    if (!names.empty()) names += ", ";
    names += family.architecture;
  }
  return names;
}

}  // namespace thresher::model
