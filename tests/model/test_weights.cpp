#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>

#include "model/edited_model.h"
#include "model/naive_device.h"
#include "model/refusal.h"
#include "thresher/base/half.h"
#include "thresher/model/describe.h"
#include "thresher/model/transformer.h"

namespace thresher::model::test {
namespace {

using base::Exit;

const PackedBatch batch{{0, 70, 90, 300, 17}, {0, 5}, {0, 1, 2, 3}, {70, 90, 300, 17}};

std::vector<float> scores_of(const base::Path& directory) {
  const auto device = make_naive_device();
  const ModelConfig config = read_config(base::real_files(), directory);
  Transformer model(*device, base::real_files(), directory, config,
                    {.dtype = tensor::DType::f32, .capacity = {8, 8, 0}});
  identity(base::real_files(), directory, config, std::span(&model.load_report().contents, 1));
  ScoredTokens scores;
  model.score(batch, scores);
  return scores.logprob;
}

void check_load(const EditedModel& model, Exit code, const std::string& part) {
  model.write();
  check_refusal([&] { scores_of(model.path()); }, code, part);
}

template <class T>
void poke(EditedTensor& tensor, std::size_t at, T value) {
  std::memcpy(tensor.bytes.data() + at * sizeof value, &value, sizeof value);
}

const std::string query = "model.layers.1.self_attn.q_proj.weight";

}  // namespace

BOOST_AUTO_TEST_SUITE(weights)

BOOST_AUTO_TEST_CASE(every_tensor_has_to_be_there) {
  const EditedModel whole;
  for (const auto& [name, tensor] : whole.tensors) {
    EditedModel model;
    model.tensors.erase(name);
    BOOST_TEST_CONTEXT(name) check_load(model, Exit::data, "tensor \"" + name + "\" is missing");
  }
}

BOOST_AUTO_TEST_CASE(shapes_and_dtypes_are_checked) {
  EditedModel model;
  const EditedTensor whole = model.tensors[query];
  model.tensors[query].shape = {32, 128};
  check_load(model, Exit::data, "has the shape [32, 128], config.json calls for [64, 64]");
  model.tensors[query].shape = {4096};
  check_load(model, Exit::data, "has the shape [4096]");
  model.tensors[query].shape = {64, 64, 1};
  check_load(model, Exit::data, "has the shape [64, 64, 1]");
  model.tensors[query] = whole;
  model.tensors[query].dtype = "I16";
  check_load(model, Exit::config, "has the dtype I16; supported are F32, BF16, F16");
  model.tensors[query] = whole;
  check_load(model, Exit::ok, "");
  model.replace_in_config("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
  check_load(model, Exit::data, "\"model.layers.2.input_layernorm.weight\" is missing");
  model.replace_in_config("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1");
  check_load(model, Exit::config, "\"model.layers.1.");
}

BOOST_AUTO_TEST_CASE(tensors_nobody_asked_for) {
  const auto check = [](const std::string& name, Exit code, const std::string& part) {
    EditedModel model;
    model.tensors[name] = {"F32", {2}, std::string(8, '\0')};
    BOOST_TEST_CONTEXT(name) check_load(model, code, part);
  };
  check("model.layers.0.self_attn.q_proj.bias", Exit::config, "is no part of LlamaForCausalLM");
  check("model.layers.0.self_attn.q_norm.weight", Exit::config, "is no part of");
  check("model.layers.2.input_layernorm.weight", Exit::config, "is no part of");
  check("model.layers.0.self_attn.q_proj.qweight", Exit::config, "is no part of");
  check("lm_head.bias", Exit::config, "is no part of");
  check("model.layers.0.self_attn.rotary_emb.inv_freq", Exit::ok, "");
  check("v_head.summary.weight", Exit::ok, "");
}

BOOST_AUTO_TEST_CASE(numbers_that_are_not_finite_are_named) {
  const std::string part = "tensor \"" + query + "\" holds 1 values of 4096 that are NaN or infinite";
  for (const std::uint16_t bits : {0x7fc0, 0x7f80, 0xff80, 0x7f81}) {
    EditedModel model;
    poke<std::uint16_t>(model.tensors[query], 4095, bits);
    check_load(model, Exit::data, part);
  }
  for (const float value : {std::nanf(""), INFINITY, -INFINITY}) {
    EditedModel model;
    model.tensors[query] = widened(model.tensors[query], "F32");
    poke(model.tensors[query], 7, value);
    check_load(model, Exit::data, part);
  }
  EditedModel half;
  half.tensors[query] = {"F16", {64, 64}, std::string(8192, '\0')};
  check_load(half, Exit::ok, "");
  poke<std::uint16_t>(half.tensors[query], 0, 0xfc00);
  check_load(half, Exit::data, part);
  BOOST_CHECK_THROW(describe_model(base::real_files(), half.path(), {.tensors = false, .digest = true}), base::Error);
}

// Each part of a fused matrix may be stored in its own dtype.
BOOST_AUTO_TEST_CASE(stored_dtypes_do_not_change_numbers) {
  EditedModel model;
  const std::vector<float> expected = scores_of(model.path());
  for (const bool all : {false, true}) {
    for (auto& [name, tensor] : model.tensors)
      if (tensor.dtype == "BF16" && (all || name == query || name.ends_with("norm.weight")))
        tensor = widened(tensor, "F32");
    model.write();
    BOOST_TEST(scores_of(model.path()) == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_tied_head_has_either_name) {
  EditedModel model;
  const std::vector<float> expected = scores_of(model.path());
  const EditedTensor embedding = model.tensors.at("model.embed_tokens.weight");
  model.tensors["lm_head.weight"] = embedding;
  model.write();
  BOOST_TEST(scores_of(model.path()) == expected, boost::test_tools::per_element());
  model.tensors.erase("model.embed_tokens.weight");
  model.write();
  BOOST_TEST(scores_of(model.path()) == expected, boost::test_tools::per_element());
  model.tensors["model.embed_tokens.weight"] = embedding;
  poke<std::uint16_t>(model.tensors["lm_head.weight"], 64 * 90, 0x3f80);
  check_load(model, Exit::config, "\"tie_word_embeddings\" is true, but the checkpoint holds");
  model.replace_in_config("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
  BOOST_CHECK(scores_of(model.path()) != expected);
  model.tensors.erase("lm_head.weight");
  check_load(model, Exit::data, "\"lm_head.weight\" is missing");
}

BOOST_AUTO_TEST_CASE(impossible_batches_are_refused) {
  const EditedModel model;
  const auto device = make_naive_device();
  const ModelConfig config = read_config(base::real_files(), model.path());
  Transformer transformer(*device, base::real_files(), model.path(), config,
                          {.dtype = tensor::DType::f32, .capacity = {6, 4, 0}});
  const auto check = [&](const PackedBatch& bad, Exit code, const std::string& part) {
    ScoredTokens out;
    check_refusal([&] { transformer.score(bad, out); }, code, part);
  };
  check({{1, 2, 3}, {0, 3}, {0, 1}, {2, 3}}, Exit::ok, "");
  check({{}, {0}, {}, {}}, Exit::ok, "");
  check({{1, 2, 3}, {0, 3}, {}, {}}, Exit::ok, "");
  check({{1, 2, 3, 4, 5, 6, 7}, {0, 4, 7}, {0}, {2}}, Exit::internal, "7 tokens, room is for 6");
  check({{1, 2, 3, 4, 5}, {0, 5}, {0}, {2}}, Exit::internal, "a sequence of 5 tokens, allowed are 1 to 4");
  check({{1, 2, 3}, {0, 0, 3}, {0}, {2}}, Exit::internal, "a sequence of 0 tokens");
  check({{1, 2, 3}, {0, 2}, {0}, {2}}, Exit::internal, "do not cover a batch of 3 tokens");
  check({{1, 2, 3}, {0, 3}, {1, 0, 1}, {2, 3, 4}}, Exit::ok, "");
  check({{1, 2, 3}, {0, 3}, {0, 0, 0, 0, 0, 0, 0}, {1, 2, 3, 4, 5, 6, 7}}, Exit::internal,
        "7 scored rows, room is for 6");
  check({{1, 2, 3}, {0, 2, 3, 3}, {2}, {5}, {0, 2, 3}}, Exit::ok, "");
  check({{1, 2, 3}, {0, 2, 3}, {2}, {5}, {0, 3}}, Exit::internal,
        "a sequence of 1 tokens begins with 3 tokens of one of 2");
  check({{1, 2, 3}, {0, 2, 3}, {2}, {5}, {1, 0}}, Exit::internal,
        "a sequence of 2 tokens begins with 1 tokens of one of 0");
  check({{1, 2, 3}, {0, 2, 3}, {2}, {5}, {0}}, Exit::internal, "2 sequences, but 1 numbers of inherited tokens");
  check({{1, 2, 3}, {0, 3}, {3}, {2}}, Exit::internal, "scored row 3");
  check({{1, 2, 3}, {0, 3}, {0, 1}, {2}}, Exit::internal, "1 targets for 2 scored rows");
  check({{1, 384, 3}, {0, 3}, {0}, {2}}, Exit::data, "token id 384 is outside of the model's vocabulary of 384");
  check({{1, 2, 3}, {0, 3}, {0}, {-1}}, Exit::data, "token id -1");
}

BOOST_AUTO_TEST_CASE(room_grows_without_changing_numbers) {
  const EditedModel model;
  const std::vector<float> expected = scores_of(model.path());
  const auto device = make_naive_device();
  const ModelConfig config = read_config(base::real_files(), model.path());
  Transformer transformer(*device, base::real_files(), model.path(), config,
                          {.dtype = tensor::DType::f32, .capacity = {4, 4, 0}});
  ScoredTokens scores;
  check_refusal([&] { transformer.score(batch, scores); }, Exit::internal, "5 tokens");
  transformer.grow(5);
  transformer.score(batch, scores);
  BOOST_TEST(scores.logprob == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace thresher::model::test
