#include "thresher/model/config.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "model/family.h"
#include "thresher/base/check.h"
#include "thresher/base/log.h"

namespace thresher::model {
namespace {

using base::Exit;
using nlohmann::json;

constexpr std::int64_t depth_limit = 64;
constexpr std::int64_t layer_limit = 1024, width_limit = 65'536, vocabulary_limit = 4'000'000;
constexpr std::int64_t position_limit = 16'000'000, intermediate_limit = 1'000'000, head_size_limit = 256;

// The fields of one JSON object. A field that is absent or null takes its default; every error names file and field.
class Fields {
 public:
  Fields(const json& object, std::string name) : object_(object), name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  // Whether it stands there at all, even as null.
  bool has(const char* key) const { return object_.contains(key); }
  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  [[noreturn]] void wrong(const char* key, const std::string& expected, const json& value) const {
    std::string shown = value.is_structured() ? std::string("a ") + value.type_name() : value.dump(-1, ' ', true);
    if (shown.size() > 100) shown = shown.substr(0, 100) + "...";
    base::fail(Exit::data, fmt::format("{}: \"{}\" has to be {}, found {}", name_, key, expected, shown));
  }
  [[noreturn]] void unsupported(const char* key, const std::string& found, const std::string& advice) const {
    base::fail(Exit::config, fmt::format("{}: \"{}\": {} is not supported; {}", name_, key, found, advice));
  }

  std::optional<std::int64_t> integer(const char* key, std::int64_t low, std::int64_t high) const {
    const json* value = find(key);
    if (!value) return std::nullopt;
    const std::string expected = fmt::format("a whole number from {} to {}", low, high);
    if (!value->is_number_integer()) wrong(key, expected, *value);
    if (value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(high))
      wrong(key, expected, *value);
    const auto number = value->get<std::int64_t>();
    if (number < low || number > high) wrong(key, expected, *value);
    return number;
  }
  std::int64_t required_integer(const char* key, std::int64_t low, std::int64_t high) const {
    const auto value = integer(key, low, high);
    if (!value)
      base::fail(Exit::data, fmt::format("{}: the field \"{}\" is missing; it has to be a whole number from {} to {}",
                                         name_, key, low, high));
    return *value;
  }
  // A number in (low, high] (or [low, high] where `closed`).
  std::optional<double> number(const char* key, double low, double high, bool closed = true) const {
    const json* value = find(key);
    if (!value) return std::nullopt;
    const double found = value->is_number() ? value->get<double>() : std::nan("");
    if (!(closed ? found >= low : found > low) || !(found <= high))
      wrong(key, fmt::format("a number {} {} and at most {}", closed ? "of at least" : "above", low, high), *value);
    return found;
  }
  bool flag(const char* key, bool absent) const {
    const json* value = find(key);
    if (!value) return absent;
    if (!value->is_boolean()) wrong(key, "true or false", *value);
    return value->get<bool>();
  }
  std::optional<std::string> text(const char* key) const {
    const json* value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_string()) wrong(key, "a string", *value);
    return value->get<std::string>();
  }
  std::optional<Fields> object(const char* key) const {
    const json* value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_object()) wrong(key, "an object", *value);
    return Fields(*value, fmt::format("{}: {}", name_, key));
  }

 private:
  const json& object_;
  std::string name_;
};

// Refuses what nlohmann/json accepts by itself: a key twice in one object, nesting without end.
class Strictness {
 public:
  explicit Strictness(const std::string& name) : name_(name) {}

  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) {
      if (depth >= depth_limit)
        base::fail(Exit::data, fmt::format("{}: nested deeper than {} levels", name_, depth_limit));
      if (event == json::parse_event_t::object_start) keys_.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      keys_.pop_back();
    } else if (event == json::parse_event_t::key && !keys_.back().insert(parsed.get<std::string>()).second) {
      base::fail(Exit::data,
                 fmt::format("{}: the field {} stands twice in one object", name_, parsed.dump(-1, ' ', true)));
    }
    return true;
  }

 private:
  const std::string& name_;
  std::vector<std::set<std::string>> keys_;
};

json parse_object(std::string_view text, const std::string& name) {
  if (static_cast<std::int64_t>(text.size()) > config_size_limit)
    base::fail(Exit::data, fmt::format("{}: {} bytes, the limit is {}", name, text.size(), config_size_limit));
  // The JSON library would take a zero byte for the end and leave what follows unread.
  if (text.find('\0') != std::string_view::npos)
    base::fail(Exit::data, name + ": not valid JSON: it holds a zero byte");
  json document;
  try {
    document = json::parse(text, Strictness(name));
  } catch (const json::exception& error) {
    base::fail(Exit::data, fmt::format("{}: not valid JSON: {}", name, error.what()));
  }
  if (!document.is_object())
    base::fail(Exit::data, fmt::format("{}: an object is expected, found a {}", name, document.type_name()));
  return document;
}

const Family& find_family(const Fields& fields) {
  std::string architecture;
  if (const json* list = fields.find("architectures")) {
    if (!list->is_array() || list->empty() || !(*list)[0].is_string())
      fields.wrong("architectures", "a list of strings", *list);
    architecture = (*list)[0].get<std::string>();
    if (const Family* family = family_of_architecture(architecture)) return *family;
    fields.unsupported("architectures", architecture, "supported are " + supported_architectures());
  }
  const auto model_type = fields.text("model_type");
  if (!model_type)
    base::fail(Exit::data,
               fmt::format("{}: neither \"architectures\" nor \"model_type\" says what this model is", fields.name()));
  if (const Family* family = family_of_model_type(*model_type)) return *family;
  fields.unsupported("model_type", *model_type, "supported are " + supported_architectures());
}

device::Activation activation_of(const Fields& fields) {
  const std::string name = fields.text("hidden_act").value_or("silu");
  if (name == "silu" || name == "swish") return device::Activation::silu;
  if (name == "gelu") return device::Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return device::Activation::gelu_tanh;
  fields.unsupported("hidden_act", name, "supported are silu, gelu, gelu_new, gelu_pytorch_tanh");
}

tensor::DType dtype_of(const Fields& fields) {
  const char* key = fields.find("dtype") ? "dtype" : "torch_dtype";
  std::string name = fields.text(key).value_or("float32");
  if (name.starts_with("torch.")) name.erase(0, 6);
  if (name == "float32") return tensor::DType::f32;
  if (name == "bfloat16") return tensor::DType::bf16;
  if (name == "float16") return tensor::DType::f16;
  fields.unsupported(key, name, "supported are float32, bfloat16, float16");
}

// A token id, or the first of a list of them.
std::optional<std::int64_t> token_id(const Fields& fields, const char* key, std::int64_t vocabulary,
                                     std::optional<std::int64_t> absent) {
  const json* value = fields.find(key);
  if (!value) {
    const bool null = fields.has(key);
    return null || !absent || *absent >= vocabulary ? std::nullopt : absent;
  }
  if (!value->is_array()) return fields.integer(key, 0, vocabulary - 1);
  std::optional<std::int64_t> first;
  for (const json& entry : *value) {
    const json wrapped{{key, entry}};
    const auto id = Fields(wrapped, fields.name()).integer(key, 0, vocabulary - 1);
    if (!first) first = id;
  }
  return first;
}

RopeKind rope_kind(const Fields& rope) {
  const char* key = rope.find("rope_type") ? "rope_type" : "type";
  const std::string name = rope.text(key).value_or("default");
  if (name == "default") return RopeKind::plain;
  if (name == "linear") return RopeKind::linear;
  if (name == "dynamic") return RopeKind::dynamic;
  if (name == "llama3") return RopeKind::llama3;
  if (name == "yarn") return RopeKind::yarn;
  rope.unsupported(key, name, "supported are default, linear, dynamic, llama3, yarn");
}

double required_factor(const Fields& rope, const char* key, double low, bool closed = true) {
  const auto factor = rope.number(key, low, 1e6, closed);
  if (!factor) base::fail(Exit::data, fmt::format("{}: the field \"{}\" is missing", rope.name(), key));
  return *factor;
}

RopeScaling read_scaling(const Fields& fields, const Fields& rope, std::int64_t positions) {
  RopeScaling scaling;
  scaling.kind = rope_kind(rope);
  if (scaling.kind == RopeKind::plain) return scaling;
  // A dynamic scaling starts at max_position_embeddings; the others know the positions of the first training.
  scaling.original_positions = positions;
  if (scaling.kind == RopeKind::llama3 || scaling.kind == RopeKind::yarn) {
    const char* key = "original_max_position_embeddings";
    const auto own = rope.integer(key, 1, position_limit), outer = fields.integer(key, 1, position_limit);
    scaling.original_positions = outer.value_or(own.value_or(positions));
  }
  if (scaling.kind == RopeKind::yarn && !rope.find("factor"))
    scaling.factor = static_cast<double>(positions) / static_cast<double>(scaling.original_positions);
  else
    scaling.factor = required_factor(rope, "factor", 1);
  if (scaling.kind == RopeKind::llama3) {
    scaling.low_frequency_factor = required_factor(rope, "low_freq_factor", 0, false);
    scaling.high_frequency_factor = required_factor(rope, "high_freq_factor", scaling.low_frequency_factor, false);
  }
  if (scaling.kind == RopeKind::yarn) {
    // Hugging Face reads 0 as absent in these four.
    const auto or_absent = [&](const char* key) {
      const auto value = rope.number(key, 0, 1e6);
      return value && *value > 0 ? value : std::nullopt;
    };
    scaling.attention_factor = rope.number("attention_factor", 0, 1e6);
    scaling.mscale = or_absent("mscale");
    scaling.mscale_all_dim = or_absent("mscale_all_dim");
    scaling.beta_fast = or_absent("beta_fast").value_or(32);
    scaling.beta_slow = or_absent("beta_slow").value_or(1);
    scaling.truncate = rope.flag("truncate", true);
  }
  return scaling;
}

// `rope_theta` and `rope_scaling` at the top, or both in transformers 5's `rope_parameters`.
void read_rope(const Fields& fields, ModelConfig& config) {
  const char* key = fields.find("rope_scaling") ? "rope_scaling" : "rope_parameters";
  const auto rope = fields.object(key);
  for (const Fields* place : {&fields, rope ? &*rope : nullptr}) {
    if (!place) continue;
    if (const auto part = place->number("partial_rotary_factor", 0, 1e6); part && *part != 1)
      place->unsupported("partial_rotary_factor", fmt::format("{}", *part), "only whole heads (1) are rotated");
  }
  if (rope)
    for (const char* type : {"full_attention", "sliding_attention"})
      if (rope->find(type)) rope->unsupported(type, "a rotation of its own for each kind of layer", "one for all is");
  constexpr double least = 1, greatest = 1e15;
  const auto top = fields.number("rope_theta", least, greatest, false);
  const auto inner = rope ? rope->number("rope_theta", least, greatest, false) : std::nullopt;
  config.rope_theta = inner.value_or(top.value_or(10'000));
  if (rope) config.rope = read_scaling(fields, *rope, config.positions);
}

std::vector<bool> sliding_layers(const Fields& fields, std::int64_t layers, bool absent, std::int64_t absent_from) {
  std::vector<bool> sliding(static_cast<std::size_t>(layers));
  const json* types = fields.find("layer_types");
  if (!types) {
    for (std::int64_t layer = absent_from; layer < layers; ++layer) sliding[static_cast<std::size_t>(layer)] = absent;
    return sliding;
  }
  if (!types->is_array() || static_cast<std::int64_t>(types->size()) != layers)
    fields.wrong("layer_types", fmt::format("a list of {} strings, one for each layer", layers), *types);
  for (std::size_t layer = 0; layer < sliding.size(); ++layer) {
    const json& type = (*types)[layer];
    if (type != "full_attention" && type != "sliding_attention")
      fields.unsupported("layer_types", type.is_string() ? type.get<std::string>() : type.type_name(),
                         "supported are full_attention and sliding_attention");
    sliding[layer] = type == "sliding_attention";
  }
  return sliding;
}

void read_window(const Fields& fields, const Family& family, ModelConfig& config) {
  config.window.assign(static_cast<std::size_t>(config.layers), 0);
  // Families other than Llama default to 4096 where the field is absent; an explicit null means none.
  std::int64_t window = 0;
  if (family.window != WindowRule::none) {
    window = fields.has("sliding_window") ? fields.integer("sliding_window", 1, position_limit).value_or(0) : 4096;
    if (family.window == WindowRule::upper && !fields.flag("use_sliding_window", false)) window = 0;
  }
  const std::int64_t from =
      family.window == WindowRule::upper ? fields.integer("max_window_layers", 0, position_limit).value_or(28) : 0;
  const std::vector<bool> sliding = sliding_layers(fields, config.layers, window > 0, std::min(from, config.layers));
  for (std::size_t layer = 0; layer < sliding.size(); ++layer) {
    const bool by_rule = family.window == WindowRule::all && window > 0;
    const bool free = family.window == WindowRule::by_type || family.window == WindowRule::upper;
    if (!free && sliding[layer] != by_rule)
      fields.unsupported("layer_types", fmt::format("layer {} unlike what {} does", layer, family.architecture),
                         "remove the field or name the right architecture");
    if (sliding[layer]) config.window[layer] = window;
  }
}

void read_heads(const Fields& fields, const Family& family, ModelConfig& config) {
  config.query_heads = fields.required_integer("num_attention_heads", 1, width_limit);
  const auto kv_heads = fields.integer("num_key_value_heads", 1, width_limit);
  const bool as_query = family.kv_heads == 0 || fields.has("num_key_value_heads");
  config.kv_heads = kv_heads.value_or(as_query ? config.query_heads : family.kv_heads);
  if (config.query_heads % config.kv_heads != 0)
    base::fail(Exit::data, fmt::format("{}: \"num_attention_heads\" ({}) has to be a multiple of "
                                       "\"num_key_value_heads\" ({})",
                                       fields.name(), config.query_heads, config.kv_heads));
  const auto head_size = fields.integer("head_dim", 2, head_size_limit);
  if (!head_size && family.head_size == 0 && config.hidden % config.query_heads != 0)
    base::fail(Exit::data, fmt::format("{}: \"hidden_size\" ({}) has to be a multiple of \"num_attention_heads\" ({}) "
                                       "where \"head_dim\" is absent",
                                       fields.name(), config.hidden, config.query_heads));
  config.head_size = head_size.value_or(family.head_size > 0 ? family.head_size : config.hidden / config.query_heads);
  if (config.head_size % 2 != 0 || config.head_size < 2 || config.head_size > head_size_limit)
    base::fail(Exit::data, fmt::format("{}: \"head_dim\" has to be an even number from 2 to {}, found {}",
                                       fields.name(), head_size_limit, config.head_size));
}

void refuse_quantised(const Fields& fields) {
  const auto quantisation = fields.object("quantization_config");
  if (!quantisation) return;
  fields.unsupported(
      "quantization_config",
      fmt::format("a checkpoint quantised by {}", quantisation->text("quant_method").value_or("an unnamed method")),
      "take the f32, f16 or bf16 checkpoint");
}

}  // namespace

ModelConfig parse_config(std::string_view text, const std::string& name) {
  const json document = parse_object(text, name);
  const Fields fields(document, name);
  const Family& family = find_family(fields);
  refuse_quantised(fields);
  if (fields.has("auto_map")) base::warn(name + ": \"auto_map\" names code of its own, which is never run");

  ModelConfig config;
  config.architecture = family.architecture;
  config.layers = fields.required_integer("num_hidden_layers", 1, layer_limit);
  config.hidden = fields.required_integer("hidden_size", 1, width_limit);
  config.intermediate = fields.required_integer("intermediate_size", 1, intermediate_limit);
  config.vocabulary = fields.required_integer("vocab_size", 1, vocabulary_limit);
  config.positions = fields.integer("max_position_embeddings", 1, position_limit).value_or(family.positions);
  config.norm_epsilon = static_cast<float>(fields.number("rms_norm_eps", 0, 1, false).value_or(1e-6));
  config.activation = activation_of(fields);
  read_heads(fields, family, config);
  const bool attention_bias = family.reads_attention_bias && fields.flag("attention_bias", false);
  config.qkv_bias = family.qkv_bias || attention_bias;
  config.output_bias = attention_bias;
  config.mlp_bias = family.reads_mlp_bias && fields.flag("mlp_bias", false);
  config.qk_norm = family.qk_norm;
  config.tied_head = fields.flag("tie_word_embeddings", false);
  read_rope(fields, config);
  read_window(fields, family, config);
  config.weights = dtype_of(fields);
  config.bos = token_id(fields, "bos_token_id", config.vocabulary, family.bos);
  config.eos = token_id(fields, "eos_token_id", config.vocabulary, family.eos);
  return config;
}

ModelConfig read_config(base::FileSystem& files, const base::Path& model_directory) {
  const base::Path path = model_directory / "config.json";
  return parse_config(base::read_all(files, path, config_size_limit), path.string());
}

}  // namespace thresher::model
