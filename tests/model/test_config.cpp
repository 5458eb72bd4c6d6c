#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <random>

#include "model/refusal.h"
#include "thresher/model/config.h"

namespace thresher::model::test {
namespace {

using base::Exit;
using nlohmann::json;

json plain(const std::string& architecture = "LlamaForCausalLM") {
  return {{"architectures", {architecture}}, {"num_hidden_layers", 3},   {"hidden_size", 64},
          {"num_attention_heads", 4},        {"intermediate_size", 100}, {"vocab_size", 320}};
}

ModelConfig parse(const json& document) {
  return parse_config(document.dump(), "config.json");
}

struct Refused {
  const char* patch;  // merged into the plain document
  Exit code;
  const char* part;
};

// Every field that is read: wrong type, below, above the limit, not supported.
const Refused refused[] = {
    {R"({"num_hidden_layers": null})", Exit::data, "\"num_hidden_layers\" is missing"},
    {R"({"num_hidden_layers": 0})", Exit::data, "whole number from 1 to 1024, found 0"},
    {R"({"num_hidden_layers": 1025})", Exit::data, "found 1025"},
    {R"({"num_hidden_layers": -1})", Exit::data, "found -1"},
    {R"({"num_hidden_layers": 2.5})", Exit::data, "found 2.5"},
    {R"({"num_hidden_layers": "2"})", Exit::data, "found \"2\""},
    {R"({"num_hidden_layers": [2]})", Exit::data, "found a array"},
    {R"({"num_hidden_layers": true})", Exit::data, "found true"},
    {R"({"num_hidden_layers": 2147483648})", Exit::data, "2147483648"},
    {R"({"num_hidden_layers": 9223372036854775808})", Exit::data, "9223372036854775808"},
    {R"({"num_hidden_layers": 18446744073709551615})", Exit::data, "18446744073709551615"},
    {R"({"num_hidden_layers": 18446744073709551617})", Exit::data, "num_hidden_layers"},
    {R"({"hidden_size": 0})", Exit::data, "hidden_size"},
    {R"({"hidden_size": 65540})", Exit::data, "from 1 to 65536"},
    {R"({"hidden_size": 66})", Exit::data, "multiple of \"num_attention_heads\" (4)"},
    {R"({"hidden_size": 12, "num_attention_heads": 4})", Exit::data, "even number"},
    {R"({"hidden_size": 1032, "num_attention_heads": 4})", Exit::data, "found 258"},
    {R"({"hidden_size": null})", Exit::data, "\"hidden_size\" is missing"},
    {R"({"intermediate_size": 0})", Exit::data, "intermediate_size"},
    {R"({"intermediate_size": 1000001})", Exit::data, "1000000"},
    {R"({"intermediate_size": null})", Exit::data, "\"intermediate_size\" is missing"},
    {R"({"vocab_size": 0})", Exit::data, "vocab_size"},
    {R"({"vocab_size": 4000001})", Exit::data, "4000000"},
    {R"({"vocab_size": null})", Exit::data, "\"vocab_size\" is missing"},
    {R"({"num_attention_heads": 0})", Exit::data, "num_attention_heads"},
    {R"({"num_attention_heads": 65537})", Exit::data, "65536"},
    {R"({"num_attention_heads": null})", Exit::data, "\"num_attention_heads\" is missing"},
    {R"({"num_key_value_heads": 0})", Exit::data, "num_key_value_heads"},
    {R"({"num_key_value_heads": 3})", Exit::data, "multiple of \"num_key_value_heads\" (3)"},
    {R"({"num_key_value_heads": 8})", Exit::data, "multiple of \"num_key_value_heads\" (8)"},
    {R"({"head_dim": 0})", Exit::data, "head_dim"},
    {R"({"head_dim": 15})", Exit::data, "even number from 2 to 256, found 15"},
    {R"({"head_dim": 258})", Exit::data, "from 2 to 256, found 258"},
    {R"({"max_position_embeddings": 0})", Exit::data, "max_position_embeddings"},
    {R"({"max_position_embeddings": 16000001})", Exit::data, "16000000"},
    {R"({"rms_norm_eps": 0})", Exit::data, "a number above 0"},
    {R"({"rms_norm_eps": -1e-6})", Exit::data, "rms_norm_eps"},
    {R"({"rms_norm_eps": 1.5})", Exit::data, "at most 1"},
    {R"({"rms_norm_eps": "1e-6"})", Exit::data, "rms_norm_eps"},
    {R"({"rope_theta": 1})", Exit::data, "above 1"},
    {R"({"rope_theta": -10000.0})", Exit::data, "rope_theta"},
    {R"({"rope_theta": 1e300})", Exit::data, "rope_theta"},
    {R"({"rope_theta": {}})", Exit::data, "rope_theta"},
    {R"({"hidden_act": "relu"})", Exit::config, "\"hidden_act\": relu is not supported"},
    {R"({"hidden_act": 1})", Exit::data, "hidden_act"},
    {R"({"torch_dtype": "float64"})", Exit::config, "\"torch_dtype\": float64 is not supported"},
    {R"({"dtype": "float8_e4m3fn"})", Exit::config, "\"dtype\": float8_e4m3fn"},
    {R"({"torch_dtype": 16})", Exit::data, "torch_dtype"},
    {R"({"attention_bias": 1})", Exit::data, "true or false"},
    {R"({"mlp_bias": "no"})", Exit::data, "true or false"},
    {R"({"tie_word_embeddings": 0})", Exit::data, "true or false"},
    {R"({"bos_token_id": 320})", Exit::data, "from 0 to 319, found 320"},
    {R"({"bos_token_id": -1})", Exit::data, "bos_token_id"},
    {R"({"eos_token_id": [2, 320]})", Exit::data, "found 320"},
    {R"({"eos_token_id": ["2"]})", Exit::data, "eos_token_id"},
    {R"({"eos_token_id": {}})", Exit::data, "eos_token_id"},
    {R"({"quantization_config": {"quant_method": "gptq", "bits": 4}})", Exit::config, "quantised by gptq"},
    {R"({"quantization_config": {}})", Exit::config, "quantization_config"},
    {R"({"quantization_config": "awq"})", Exit::data, "quantization_config"},
    {R"({"architectures": ["MixtralForCausalLM"]})", Exit::config, "MixtralForCausalLM is not supported"},
    {R"({"architectures": ["GPT2LMHeadModel"]})", Exit::config, "supported are LlamaForCausalLM, MistralForCausalLM"},
    {R"({"architectures": []})", Exit::data, "architectures"},
    {R"({"architectures": "LlamaForCausalLM"})", Exit::data, "architectures"},
    {R"({"architectures": [7]})", Exit::data, "architectures"},
    {R"({"architectures": null})", Exit::data, "neither"},
    {R"({"architectures": null, "model_type": "gpt2"})", Exit::config, "\"model_type\": gpt2"},
    {R"({"partial_rotary_factor": 0.5})", Exit::config, "\"partial_rotary_factor\": 0.5"},
    {R"({"rope_scaling": "linear"})", Exit::data, "rope_scaling"},
    {R"({"rope_scaling": {"type": "longrope", "factor": 2}})", Exit::config, "\"type\": longrope"},
    {R"({"rope_scaling": {"rope_type": "su"}})", Exit::config, "\"rope_type\": su"},
    {R"({"rope_scaling": {"rope_type": 3}})", Exit::data, "rope_type"},
    {R"({"rope_scaling": {"type": "linear"}})", Exit::data, "\"factor\" is missing"},
    {R"({"rope_scaling": {"type": "linear", "factor": 0.5}})", Exit::data, "at least 1"},
    {R"({"rope_scaling": {"type": "linear", "factor": "2"}})", Exit::data, "factor"},
    {R"({"rope_scaling": {"type": "linear", "factor": 1e7}})", Exit::data, "factor"},
    {R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 1}})", Exit::data, "high_freq_factor"},
    {R"({"rope_scaling": {"type": "llama3", "factor": 8, "high_freq_factor": 1}})", Exit::data, "low_freq_factor"},
    {R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}})", Exit::data,
     "\"high_freq_factor\" has to be a number above 4"},
    {R"({"rope_scaling": {"type": "yarn", "factor": 2, "beta_fast": -1}})", Exit::data, "beta_fast"},
    {R"({"rope_scaling": {"type": "yarn", "factor": 2, "attention_factor": -1}})", Exit::data, "attention_factor"},
    {R"({"rope_scaling": {"type": "yarn", "factor": 2, "truncate": 1}})", Exit::data, "truncate"},
    {R"({"rope_scaling": {"type": "yarn", "factor": 2, "original_max_position_embeddings": 0}})", Exit::data,
     "original_max_position_embeddings"},
    {R"({"rope_parameters": {"rope_theta": 0}})", Exit::data, "rope_parameters: \"rope_theta\""},
    {R"({"rope_parameters": {"partial_rotary_factor": 0.25}})", Exit::config, "partial_rotary_factor"},
    {R"({"rope_parameters": {"full_attention": {"rope_type": "default"}}})", Exit::config, "full_attention"},
    {R"({"layer_types": ["full_attention", "full_attention"]})", Exit::data, "a list of 3 strings"},
    {R"({"layer_types": ["full_attention", "sliding_attention", "full_attention"]})", Exit::config, "layer 1"},
    {R"({"layer_types": ["full_attention", "linear_attention", "full_attention"]})", Exit::config, "linear_attention"},
    {R"({"layer_types": [1, 2, 3]})", Exit::config, "layer_types"},
    {R"({"architectures": ["MistralForCausalLM"], "num_key_value_heads": 4, "sliding_window": 0})", Exit::data,
     "sliding_window"},
    {R"({"architectures": ["MistralForCausalLM"], "num_key_value_heads": 4, "sliding_window": 16000001})", Exit::data,
     "sliding_window"},
    {R"({"architectures": ["MistralForCausalLM"]})", Exit::data, "multiple of \"num_key_value_heads\" (8)"},
    {R"({"architectures": ["Qwen2ForCausalLM"], "num_key_value_heads": 4, "use_sliding_window": 1})", Exit::data,
     "use_sliding_window"},
    {R"({"architectures": ["Qwen2ForCausalLM"], "num_key_value_heads": 4, "max_window_layers": -1})", Exit::data,
     "max_window_layers"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(config)

BOOST_AUTO_TEST_CASE(wrong_fields_are_refused_by_name) {
  for (const Refused& entry : refused) {
    json document = plain();
    // merge_patch would remove a field for null; here null is written.
    const json patch = json::parse(entry.patch);
    for (const auto& [key, value] : patch.items()) document[key] = value;
    BOOST_TEST_CONTEXT(entry.patch) {
      check_refusal([&] { parse(document); }, entry.code, entry.part);
    }
  }
}

BOOST_AUTO_TEST_CASE(limits_themselves_are_accepted) {
  for (const char* patch :
       {R"({"num_hidden_layers": 1})", R"({"num_hidden_layers": 1024})", R"({"hidden_size": 8})",
        R"({"hidden_size": 65536, "num_attention_heads": 256})", R"({"vocab_size": 1})", R"({"vocab_size": 4000000})",
        R"({"max_position_embeddings": 1})", R"({"max_position_embeddings": 16000000})",
        R"({"intermediate_size": 1000000})", R"({"head_dim": 2})", R"({"head_dim": 256})", R"({"rms_norm_eps": 1})",
        R"({"rope_scaling": {"type": "linear", "factor": 1}})", R"({"bos_token_id": 319})",
        R"({"eos_token_id": [0, 319]})", R"({"partial_rotary_factor": 1.0})", R"({"pretraining_tp": 4})",
        R"({"quantization_config": null})"}) {
    json document = plain();
    document.update(json::parse(patch));
    BOOST_TEST_CONTEXT(patch) BOOST_CHECK_NO_THROW(parse(document));
  }
}

BOOST_AUTO_TEST_CASE(damaged_json_is_refused) {
  const auto refuse = [](const std::string& text, const std::string& part) {
    BOOST_TEST_CONTEXT(text.substr(0, 60)) {
      check_refusal([&] { parse_config(text, "config.json"); }, Exit::data, "config.json: " + part);
    }
  };
  refuse("", "not valid JSON");
  refuse("[]", "an object is expected, found a array");
  refuse("null", "an object is expected");
  refuse("{} {}", "not valid JSON");
  refuse(plain().dump() + '\0' + "{}", "not valid JSON: it holds a zero byte");
  refuse(R"({"hidden_size": NaN})", "not valid JSON");
  refuse(R"({"hidden_size": Infinity})", "not valid JSON");
  refuse(R"({"rope_theta": 1e999})", "not valid JSON");
  refuse(R"({"rope_theta": -1e999})", "not valid JSON");
  refuse("{\"model_type\": \"\xff\"}", "not valid JSON");
  refuse(R"({"vocab_size": 1, "vocab_size": 2})", "the field \"vocab_size\" stands twice");
  refuse(R"({"rope_scaling": {"type": "linear", "type": "yarn"}})", "the field \"type\" stands twice");
  refuse(R"({"a": [{"b": 1}, {"b": 1, "b": 2}]})", "the field \"b\" stands twice");
  const auto nested = [](int depth) { return "{\"a\": " + std::string(depth, '[') + std::string(depth, ']') + "}"; };
  refuse(nested(63), "neither");
  refuse(nested(64), "nested deeper than 64");
  refuse(nested(400'000), "nested deeper than 64");
  const std::string filled = "{" + std::string(config_size_limit - 2, ' ') + "}";
  refuse(filled, "neither");
  refuse(filled + " ", "1000001 bytes, the limit is 1000000");
}

BOOST_AUTO_TEST_CASE(absent_fields_are_those_of_each_family) {
  const ModelConfig llama = parse(plain());
  BOOST_CHECK_EQUAL(llama.kv_heads, 4);
  BOOST_CHECK_EQUAL(llama.head_size, 16);
  BOOST_CHECK_EQUAL(llama.positions, 2048);
  BOOST_CHECK_EQUAL(llama.norm_epsilon, 1e-6f);
  BOOST_CHECK_EQUAL(llama.rope_theta, 10000);
  BOOST_CHECK(llama.rope.kind == RopeKind::plain);
  BOOST_CHECK(!llama.qkv_bias && !llama.output_bias && !llama.mlp_bias && !llama.qk_norm && !llama.tied_head);
  BOOST_CHECK(llama.activation == device::Activation::silu);
  BOOST_CHECK(llama.weights == tensor::DType::f32);
  BOOST_CHECK_EQUAL(llama.bos.value(), 1);
  BOOST_CHECK_EQUAL(llama.eos.value(), 2);
  BOOST_CHECK(llama.window == std::vector<std::int64_t>(3, 0));

  json document = plain("MistralForCausalLM");
  document["num_attention_heads"] = 16;
  const ModelConfig mistral = parse(document);
  BOOST_CHECK_EQUAL(mistral.kv_heads, 8);
  BOOST_CHECK_EQUAL(mistral.positions, 131072);
  BOOST_CHECK(mistral.window == std::vector<std::int64_t>(3, 4096));

  document["architectures"] = {"Qwen2ForCausalLM"};
  document["num_key_value_heads"] = nullptr;
  const ModelConfig qwen2 = parse(document);
  BOOST_CHECK_EQUAL(qwen2.kv_heads, 16);
  BOOST_CHECK_EQUAL(qwen2.positions, 32768);
  BOOST_CHECK(qwen2.qkv_bias && !qwen2.output_bias);
  BOOST_CHECK(!qwen2.bos && !qwen2.eos);
  BOOST_CHECK(qwen2.window == std::vector<std::int64_t>(3, 0));

  document["architectures"] = {"Qwen3ForCausalLM"};
  const ModelConfig qwen3 = parse(document);
  BOOST_CHECK_EQUAL(qwen3.head_size, 128);
  BOOST_CHECK(qwen3.qk_norm && !qwen3.qkv_bias);
}

BOOST_AUTO_TEST_CASE(options_are_read) {
  json document = plain();
  document["attention_bias"] = true;
  document["mlp_bias"] = true;
  document["tie_word_embeddings"] = true;
  document["hidden_act"] = "gelu_new";
  document["dtype"] = "bfloat16";
  document["torch_dtype"] = "float16";
  document["eos_token_id"] = {7, 8};
  document["bos_token_id"] = nullptr;
  const ModelConfig llama = parse(document);
  BOOST_CHECK(llama.qkv_bias && llama.output_bias && llama.mlp_bias && llama.tied_head);
  BOOST_CHECK(llama.activation == device::Activation::gelu_tanh);
  BOOST_CHECK(llama.weights == tensor::DType::bf16);
  BOOST_CHECK_EQUAL(llama.eos.value(), 7);
  BOOST_CHECK(!llama.bos);

  // Mistral has no bias whatever the field says, as in transformers.
  document["architectures"] = {"MistralForCausalLM"};
  document["num_key_value_heads"] = 2;
  document["sliding_window"] = nullptr;
  const ModelConfig mistral = parse(document);
  BOOST_CHECK(!mistral.qkv_bias && !mistral.output_bias && !mistral.mlp_bias);
  BOOST_CHECK(mistral.window == std::vector<std::int64_t>(3, 0));

  json typed = plain();
  typed.erase("architectures");
  typed["model_type"] = "llama";
  BOOST_CHECK_EQUAL(parse(typed).architecture, "LlamaForCausalLM");
}

BOOST_AUTO_TEST_CASE(windows_of_qwen_and_ministral) {
  json document = plain("Qwen2ForCausalLM");
  document["num_key_value_heads"] = 4;
  document["use_sliding_window"] = true;
  document["sliding_window"] = 5;
  document["max_window_layers"] = 1;
  BOOST_CHECK(parse(document).window == (std::vector<std::int64_t>{0, 5, 5}));
  document["max_window_layers"] = 28;
  BOOST_CHECK(parse(document).window == (std::vector<std::int64_t>{0, 0, 0}));
  document["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention"};
  BOOST_CHECK(parse(document).window == (std::vector<std::int64_t>{5, 0, 5}));
  document["use_sliding_window"] = false;
  BOOST_CHECK(parse(document).window == (std::vector<std::int64_t>{0, 0, 0}));
  document["architectures"] = {"MinistralForCausalLM"};
  BOOST_CHECK(parse(document).window == (std::vector<std::int64_t>{5, 0, 5}));
  document.erase("layer_types");
  BOOST_CHECK(parse(document).window == (std::vector<std::int64_t>{5, 5, 5}));
}

// Damage anywhere ends in an error that is no crash and no internal one, or in numbers within the limits.
BOOST_AUTO_TEST_CASE(damaged_documents) {
  json document = plain("Qwen3ForCausalLM");
  document["num_key_value_heads"] = 2;
  document["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}, {"beta_fast", 32}, {"truncate", false}};
  document["layer_types"] = {"full_attention", "sliding_attention", "full_attention"};
  const std::string text = document.dump();
  std::mt19937 random(99);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = text;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      const std::size_t at = random() % damaged.size();
      if (const unsigned kind = random() % 3; kind == 0)
        damaged.erase(at, 1 + random() % 6);
      else if (kind == 1)
        damaged.insert(at, 1, "0123456789{}[],:\"-.eE"[random() % 21]);
      else
        damaged[at] = static_cast<char>(random() % 256);
    }
    try {
      const ModelConfig config = parse_config(damaged, "config.json");
      BOOST_REQUIRE(config.layers >= 1 && config.layers <= 1024 && config.hidden >= 1 && config.hidden <= 65'536);
      BOOST_REQUIRE(config.head_size % 2 == 0 && config.query_heads % config.kv_heads == 0);
      BOOST_REQUIRE(config.window.size() == static_cast<std::size_t>(config.layers) && config.parameters() > 0);
      ++accepted;
    } catch (const base::Error& error) {
      BOOST_REQUIRE(error.code() == Exit::data || error.code() == Exit::config);
    }
  }
  BOOST_CHECK(accepted > 0 && accepted < 15'000);
}

// Llama 3.2 1B: 1,235,814,400 parameters.
BOOST_AUTO_TEST_CASE(sizes) {
  json document = plain();
  document.update({{"num_hidden_layers", 16},
                   {"hidden_size", 2048},
                   {"num_attention_heads", 32},
                   {"num_key_value_heads", 8},
                   {"intermediate_size", 8192},
                   {"vocab_size", 128256},
                   {"tie_word_embeddings", true}});
  const ModelConfig config = parse(document);
  BOOST_CHECK_EQUAL(config.parameters(), 1'235'814'400);
  BOOST_CHECK_EQUAL(config.block_parameters(), 60'817'408);
  BOOST_CHECK_EQUAL(config.block_flops(), 2.0 * 16 * 60'817'408);
  BOOST_CHECK_EQUAL(config.head_flops(), 2.0 * 2048 * 128256);
  BOOST_CHECK_EQUAL(config.attention_flops(), 4.0 * 32 * 64 * 16);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace thresher::model::test
