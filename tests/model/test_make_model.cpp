#include <boost/test/unit_test.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/naive_device.h"
#include "model/refusal.h"
#include "model/scratch.h"
#include "thresher/model/checkpoint.h"
#include "thresher/model/describe.h"
#include "thresher/model/make_model.h"
#include "thresher/model/transformer.h"

namespace thresher::model::test {
namespace {

using base::Exit;

std::string read(const base::Path& path) {
  return base::read_all(base::real_files(), path, 100'000'000);
}

void check_equal_directories(const base::Path& a, const base::Path& b) {
  const auto names = base::real_files().list(a);
  BOOST_CHECK(names == base::real_files().list(b));
  for (const std::string& name : names) BOOST_CHECK_MESSAGE(read(a / name) == read(b / name), name << " differs");
}

base::Digest digest_of_model(const base::Path& directory) {
  const auto device = make_naive_device();
  const ModelConfig config = read_config(base::real_files(), directory);
  const Transformer model(*device, base::real_files(), directory, config,
                          {.dtype = tensor::DType::f32, .capacity = {8, 8, 0}});
  return identity(base::real_files(), directory, config, std::span(&model.load_report().contents, 1));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(made_models)

BOOST_AUTO_TEST_CASE(every_family_loads_and_scores) {
  for (const char* family : {"llama", "mistral", "qwen2", "qwen3"}) {
    for (const bool tied : {false, true}) {
      const Scratch scratch;
      MakeModel shape = named_shape("tiny");
      shape.architecture = family;
      shape.tied_head = tied;
      make_model(base::real_files(), scratch.path() / "m", shape);
      const auto device = make_naive_device();
      const ModelConfig config = read_config(base::real_files(), scratch.path() / "m");
      Transformer model(*device, base::real_files(), scratch.path() / "m", config,
                        {.dtype = tensor::DType::f32, .capacity = {8, 8, 3}});
      ScoredTokens scores;
      model.score({{0, 5, 9, 300}, {0, 4}, {0, 1, 2}, {5, 9, 300}}, scores);
      BOOST_TEST_CONTEXT(family << (tied ? " tied" : "")) {
        BOOST_REQUIRE_EQUAL(scores.logprob.size(), 3);
        BOOST_REQUIRE_EQUAL(scores.top_id.size(), 9);
        for (std::size_t i = 0; i < 3; ++i) {
          BOOST_CHECK(scores.logprob[i] < -0.1f && scores.logprob[i] > -30);
          BOOST_CHECK(scores.entropy[i] > 1 && scores.entropy[i] < 5.9f);
          BOOST_CHECK(scores.top_logprob[3 * i] >= scores.top_logprob[3 * i + 1]);
        }
        BOOST_CHECK_EQUAL(model.load_report().bytes_read, 2 * config.parameters());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(equal_options_give_equal_bytes) {
  const Scratch scratch;
  MakeModel shape = named_shape("tiny");
  make_model(base::real_files(), scratch.path() / "a", shape);
  make_model(base::real_files(), scratch.path() / "b", shape);
  check_equal_directories(scratch.path() / "a", scratch.path() / "b");
  shape.seed = 1;
  make_model(base::real_files(), scratch.path() / "c", shape);
  BOOST_CHECK(read(scratch.path() / "a/model.safetensors") != read(scratch.path() / "c/model.safetensors"));
  BOOST_CHECK(digest_of_model(scratch.path() / "a") == digest_of_model(scratch.path() / "b"));
  BOOST_CHECK(!(digest_of_model(scratch.path() / "a") == digest_of_model(scratch.path() / "c")));
  check_refusal([&] { make_model(base::real_files(), scratch.path() / "a", shape); }, Exit::cannot_create, "not empty");
}

// The division into files is no part of a model's identity, one bit of one weight is.
BOOST_AUTO_TEST_CASE(identity) {
  const Scratch scratch;
  MakeModel shape = named_shape("tiny");
  make_model(base::real_files(), scratch.path() / "one", shape);
  shape.shard_bytes = 30'000;
  make_model(base::real_files(), scratch.path() / "many", shape);
  Checkpoint many(base::real_files(), scratch.path() / "many");
  BOOST_CHECK_GT(many.file_count(), 3);
  const base::Digest one = digest_of_model(scratch.path() / "one");
  BOOST_CHECK(one == digest_of_model(scratch.path() / "many"));
  const std::string text =
      describe_model(base::real_files(), scratch.path() / "many", {.tensors = true, .digest = true});
  BOOST_CHECK(text.find(one.hex()) != std::string::npos);
  BOOST_CHECK(text.find("model.layers.1.mlp.down_proj.weight") != std::string::npos);
  BOOST_CHECK(text.find("LlamaForCausalLM") != std::string::npos);
  std::string bytes = read(scratch.path() / "one/model.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  scratch.write("one/model.safetensors", bytes);
  BOOST_CHECK(!(one == digest_of_model(scratch.path() / "one")));
}

BOOST_AUTO_TEST_CASE(tokenizer_has_exactly_the_vocabulary) {
  for (const std::int64_t vocabulary : {258, 259, 384, 2000, 32000}) {
    const Scratch scratch;
    MakeModel shape = named_shape("tiny");
    shape.vocabulary = vocabulary;
    make_model(base::real_files(), scratch.path() / "m", shape);
    const auto json = nlohmann::json::parse(read(scratch.path() / "m/tokenizer.json"));
    const auto& tokens = json.at("model").at("vocab");
    BOOST_CHECK_EQUAL(tokens.size(), vocabulary);
    std::vector<bool> used(static_cast<std::size_t>(vocabulary));
    for (const auto& [token, id] : tokens.items()) used.at(id.get<std::size_t>()) = true;
    BOOST_CHECK(std::find(used.begin(), used.end(), false) == used.end());
    const auto& merges = json.at("model").at("merges");
    BOOST_CHECK_EQUAL(merges.size(), vocabulary - 258);
    for (const auto& merge : merges) {
      const auto text = merge.get<std::string>();
      const auto space = text.find(' ');
      const std::string left = text.substr(0, space), right = text.substr(space + 1);
      BOOST_REQUIRE(tokens.contains(left) && tokens.contains(right) && tokens.contains(left + right));
    }
  }
  const Scratch scratch;
  MakeModel shape = named_shape("tiny");
  shape.vocabulary = 257;
  check_refusal([&] { make_model(base::real_files(), scratch.path() / "m", shape); }, Exit::usage, "at least 258");
}

BOOST_AUTO_TEST_CASE(shapes_and_options) {
  const auto parameters = [](const char* name) {
    return parse_config(config_text(named_shape(name)), name).parameters();
  };
  BOOST_CHECK_EQUAL(parameters("llama-1b"), 1'235'814'400);
  BOOST_CHECK_EQUAL(parameters("llama-8b"), 8'030'261'248);
  BOOST_CHECK_EQUAL(parameters("llama-small"), 15'191'712);
  check_refusal([] { named_shape("llama-9b"); }, Exit::usage, "known are llama-1b, llama-8b, llama-small, tiny");
  MakeModel shape;
  shape.architecture = "gpt2";
  check_refusal([&] { config_text(shape); }, Exit::usage, "\"gpt2\" is no known architecture");
  const Scratch scratch;
  shape = {.layers = 0};
  check_refusal([&] { make_model(base::real_files(), scratch.path() / "m", shape); }, Exit::data, "num_hidden_layers");
  shape = {.dtype = tensor::DType::f16};
  check_refusal([&] { make_model(base::real_files(), scratch.path() / "m", shape); }, Exit::usage, "f32 or bf16");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace thresher::model::test
