#include "thresher/model/make_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <thread>
#include <vector>

#include "model/family.h"
#include "model/made_tokenizer.h"
#include "model/names.h"
#include "thresher/base/check.h"
#include "thresher/base/cores.h"
#include "thresher/base/half.h"
#include "thresher/base/hash.h"

namespace thresher::model {
namespace {

using base::Exit;
using base::Path;
using tensor::DType;

struct NamedShape {
  std::string_view name;
  MakeModel model;
};

const std::vector<NamedShape>& shapes() {
  static const std::vector<NamedShape> all = [] {
    std::vector<NamedShape> list{{"llama-1b", {}}, {"llama-8b", {}}, {"llama-small", {}}, {"tiny", {}}};
    // Llama 3.2 1B and Llama 3.1 8B as published; stories15M's shape.
    list[0].model = {.layers = 16,
                     .hidden = 2048,
                     .intermediate = 8192,
                     .query_heads = 32,
                     .kv_heads = 8,
                     .head_size = 64,
                     .vocabulary = 128256,
                     .positions = 131072,
                     .rope_theta = 500000};
    list[1].model = {.layers = 32,
                     .hidden = 4096,
                     .intermediate = 14336,
                     .query_heads = 32,
                     .kv_heads = 8,
                     .head_size = 128,
                     .vocabulary = 128256,
                     .positions = 131072,
                     .rope_theta = 500000,
                     .tied_head = false};
    list[2].model = {.layers = 6,
                     .hidden = 288,
                     .intermediate = 768,
                     .query_heads = 6,
                     .kv_heads = 6,
                     .head_size = 48,
                     .vocabulary = 32000,
                     .positions = 2048};
    return list;
  }();
  return all;
}

// Numbers of a normal shape from a counter: value i of a tensor depends on the key and i alone. The four 16-bit parts
// of a mixed word are summed (Irwin-Hall, within 3.5 standard deviations); mixing is SplitMix64's (Steele et al. 2014).
class Noise {
 public:
  Noise(std::uint64_t seed, std::string_view name) {
    const base::Digest digest = base::digest_of(fmt::format("{} {}", seed, name));
    for (std::size_t b = 0; b < 8; ++b) key_ = key_ << 8 | digest.bytes[b];
  }
  float at(std::int64_t i) const {
    std::uint64_t word = key_ + static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15u;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
    word = (word ^ word >> 27) * 0x94d049bb133111ebu;
    word ^= word >> 31;
    const auto sum =
        static_cast<std::int32_t>((word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48));
    constexpr float deviation = 37837.0f;  // sqrt(4 / 12) * 65536
    return static_cast<float>(sum - 131070) / deviation;
  }

 private:
  std::uint64_t key_ = 0;
};

// Gains around 1; matrices that keep the size of what goes through them, those that write to the residual stream
// smaller.
struct Spread {
  float mean = 0, deviation = 0;
};

Spread spread_of(Slot slot, const ModelConfig& config) {
  const std::vector<std::int64_t> shape = tensor_shape(slot, config);
  switch (slot) {
    case Slot::attention_norm:
    case Slot::mlp_norm:
    case Slot::final_norm:
    case Slot::query_gain:
    case Slot::key_gain:
      return {1, 0.1f};
    default:
      break;
  }
  if (shape.size() == 1) return {0, 0.1f};
  double deviation = 1 / std::sqrt(static_cast<double>(shape[1]));
  if (slot == Slot::output || slot == Slot::down) deviation /= std::sqrt(2.0 * static_cast<double>(config.layers));
  if (slot == Slot::head || slot == Slot::embedding) deviation *= 2;
  return {0, static_cast<float>(deviation)};
}

struct MadeTensor {
  SafetensorsWriter::Planned planned;
  Spread spread;
  std::int64_t bytes = 0;
};

std::vector<MadeTensor> plan_tensors(const ModelConfig& config, DType dtype) {
  std::vector<MadeTensor> tensors;
  const auto add = [&](Slot slot, std::int64_t layer = 0) {
    MadeTensor made{{tensor_name(slot, layer), dtype, tensor_shape(slot, config)}, spread_of(slot, config)};
    made.bytes = tensor::size_of(dtype);
    for (const std::int64_t extent : made.planned.shape) made.bytes *= extent;
    tensors.push_back(std::move(made));
  };
  add(Slot::embedding);
  for (std::int64_t layer = 0; layer < config.layers; ++layer)
    for (const Slot slot : block_slots(config)) add(slot, layer);
  add(Slot::final_norm);
  if (!config.tied_head) add(Slot::head);
  return tensors;
}

// Numbers from `first` on, as many as `out` holds.
void fill(const MadeTensor& made, const Noise& noise, std::int64_t first, std::span<std::byte> out) {
  const auto number = [&](std::int64_t i) { return made.spread.mean + made.spread.deviation * noise.at(first + i); };
  const auto count = static_cast<std::int64_t>(out.size()) / tensor::size_of(made.planned.dtype);
  if (made.planned.dtype == DType::f32) {
    auto* const to = reinterpret_cast<float*>(out.data());
    for (std::int64_t i = 0; i < count; ++i) to[i] = number(i);
  } else {
    auto* const to = reinterpret_cast<std::uint16_t*>(out.data());
    for (std::int64_t i = 0; i < count; ++i) to[i] = base::to_bf16(number(i));
  }
}

// A block at a time, its pieces by as many threads as there are cores.
void write_tensor(SafetensorsWriter& writer, const MadeTensor& made, std::uint64_t seed) {
  constexpr std::int64_t piece = 4 << 20;  // bytes
  const Noise noise(seed, made.planned.name);
  const std::int64_t block = std::min(made.bytes, piece * base::usable_cores());
  std::vector<std::byte> bytes(static_cast<std::size_t>(block));
  for (std::int64_t first = 0; first < made.bytes; first += block) {
    const auto part = std::span(bytes).first(static_cast<std::size_t>(std::min(block, made.bytes - first)));
    {
      std::vector<std::jthread> threads;
      for (std::size_t at = piece; at < part.size(); at += piece)
        threads.emplace_back([&, at] {
          fill(made, noise, (first + static_cast<std::int64_t>(at)) / tensor::size_of(made.planned.dtype),
               part.subspan(at, std::min<std::size_t>(piece, part.size() - at)));
        });
      fill(made, noise, first / tensor::size_of(made.planned.dtype),
           part.first(std::min<std::size_t>(piece, part.size())));
    }
    writer.add(part);
  }
}

// How many tensors each file holds.
std::vector<std::size_t> cut(const std::vector<MadeTensor>& tensors, std::int64_t shard_bytes) {
  std::vector<std::size_t> counts{0};
  std::int64_t used = 0;
  for (const MadeTensor& tensor : tensors) {
    if (counts.back() > 0 && used + tensor.bytes > shard_bytes) {
      counts.push_back(0);
      used = 0;
    }
    ++counts.back();
    used += tensor.bytes;
  }
  return counts;
}

void write_weights(base::FileSystem& files, const Path& directory, const std::vector<MadeTensor>& tensors,
                   const MakeModel& model) {
  const std::vector<std::size_t> counts = cut(tensors, model.shard_bytes);
  std::string map;
  std::size_t next = 0;
  std::int64_t total = 0;
  for (std::size_t shard = 0; shard < counts.size(); ++shard) {
    const std::string name = counts.size() == 1
                                 ? std::string("model.safetensors")
                                 : fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, counts.size());
    const auto part = std::span(tensors).subspan(next, counts[shard]);
    next += counts[shard];
    std::vector<SafetensorsWriter::Planned> planned;
    for (const MadeTensor& tensor : part) planned.push_back(tensor.planned);
    SafetensorsWriter writer(files, directory / name, planned);
    for (const MadeTensor& tensor : part) {
      write_tensor(writer, tensor, model.seed);
      total += tensor.bytes;
      map += fmt::format("{}    \"{}\": \"{}\"", map.empty() ? "" : ",\n", tensor.planned.name, name);
    }
    writer.finish();
  }
  if (counts.size() > 1)
    base::write_atomically(
        files, directory / "model.safetensors.index.json",
        fmt::format("{{\n  \"metadata\": {{\"total_size\": {}}},\n  \"weight_map\": {{\n{}\n  }}\n}}\n", total, map));
}

}  // namespace

MakeModel named_shape(std::string_view name) {
  for (const NamedShape& shape : shapes())
    if (shape.name == name) return shape.model;
  base::fail(Exit::usage, fmt::format("\"{}\" is no known shape; known are {}", name, shape_names()));
}

std::string shape_names() {
  std::string names;
  for (const NamedShape& shape : shapes()) names += fmt::format("{}{}", names.empty() ? "" : ", ", shape.name);
  return names;
}

std::string config_text(const MakeModel& model) {
  const Family* family = family_of_model_type(model.architecture);
  if (!family)
    base::fail(Exit::usage, fmt::format("\"{}\" is no known architecture; known are llama, mistral, qwen2, qwen3",
                                        model.architecture));
  const std::string_view dtype = model.dtype == DType::f32 ? "float32" : "bfloat16";
  return fmt::format(R"({{
  "architectures": ["{}"],
  "model_type": "{}",
  "hidden_act": "silu",
  "num_hidden_layers": {},
  "hidden_size": {},
  "intermediate_size": {},
  "num_attention_heads": {},
  "num_key_value_heads": {},
  "head_dim": {},
  "vocab_size": {},
  "max_position_embeddings": {},
  "rms_norm_eps": 1e-05,
  "rope_theta": {:.1f},
  "sliding_window": null,
  "tie_word_embeddings": {},
  "bos_token_id": {},
  "eos_token_id": {},
  "torch_dtype": "{}"
}}
)",
                     family->architecture, family->model_type, model.layers, model.hidden, model.intermediate,
                     model.query_heads, model.kv_heads, model.head_size, model.vocabulary, model.positions,
                     model.rope_theta, model.tied_head, made_bos, made_eos, dtype);
}

void make_model(base::FileSystem& files, const Path& directory, const MakeModel& model) {
  if (model.vocabulary < made_vocabulary_least)
    base::fail(Exit::usage, fmt::format("a vocabulary of {} tokens; a byte-level tokenizer has at least {}",
                                        model.vocabulary, made_vocabulary_least));
  if (model.dtype != DType::f32 && model.dtype != DType::bf16)
    base::fail(Exit::usage, fmt::format("weights in {}; models are made in f32 or bf16", tensor::name_of(model.dtype)));
  const std::string text = config_text(model);
  const ModelConfig config = parse_config(text, "the model to be made");
  files.make_directories(directory);
  if (const auto names = files.list(directory); !names.empty())
    base::fail(Exit::cannot_create, fmt::format("{}: not empty, it holds {}; a model is made in a new directory",
                                                directory.string(), names.front()));
  write_weights(files, directory, plan_tensors(config, model.dtype), model);
  write_made_tokenizer(files, directory, model.vocabulary);
  base::write_atomically(files, directory / "config.json", text);
}

}  // namespace thresher::model
