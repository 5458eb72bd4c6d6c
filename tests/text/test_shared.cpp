// Real tokenizers, where the folder with them is there: digests of what Hugging Face `tokenizers` made of whole
// corpora, and llama.cpp's test vectors.
#include <boost/test/unit_test.hpp>

#include "corpora.h"

using namespace thresher::text;
using nlohmann::json;

namespace {

bool is_there(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return true;
  BOOST_TEST_MESSAGE("skipped: " << path << " is not there");
  return false;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char byte : text) {
    if (byte == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += byte;
    }
  }
  return lines;
}

json component(const char* type) {
  return {{"type", type}};
}

json byte_level() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
}

// GPT-2's own two files.
std::string gpt2_json() {
  auto merges = lines_of(read_text(shared_folder / "tokenizers/gpt2/merges.txt"));
  merges.erase(merges.begin());
  std::erase(merges, "");
  json model = component("BPE");
  model["vocab"] = read_json(shared_folder / "tokenizers/gpt2/vocab.json");
  model["merges"] = merges;
  return json{{"version", "1.0"}, {"pre_tokenizer", byte_level()}, {"decoder", byte_level()}, {"model", model}}.dump();
}

// BERT's list of words.
std::string bert_json() {
  auto words = lines_of(read_text(shared_folder / "tokenizers/bert-base-uncased/vocab.txt"));
  words.pop_back();
  json model = component("WordPiece");
  model["unk_token"] = "[UNK]";
  model["continuing_subword_prefix"] = "##";
  model["max_input_chars_per_word"] = 100;
  for (std::size_t id = 0; id < words.size(); ++id) model["vocab"][words[id]] = id;
  json normalizer = component("BertNormalizer");
  normalizer.update(
      {{"clean_text", true}, {"handle_chinese_chars", true}, {"strip_accents", nullptr}, {"lowercase", true}});
  json post = component("BertProcessing");
  post.update({{"sep", {"[SEP]", 102}}, {"cls", {"[CLS]", 101}}});
  json decoder = component("WordPiece");
  decoder.update({{"prefix", "##"}, {"cleanup", true}});
  return json{{"version", "1.0"},       {"normalizer", normalizer}, {"pre_tokenizer", component("BertPreTokenizer")},
              {"post_processor", post}, {"decoder", decoder},       {"model", model}}
      .dump();
}

void check_digests(const Tokenizer& tokenizer, const std::string& name) {
  const auto want = read_json(data_folder / "digests.json")["shared"][name];
  const std::string wiki = read_text(shared_folder / "wikitext2/wiki.valid.tokens");
  BOOST_TEST_CONTEXT(name) {
    BOOST_TEST(digest(tokenizer, lines_of(wiki), false) == want["wikitext2_lines"].get<std::string>());
    BOOST_TEST(digest(tokenizer, std::vector{wiki}, false) == want["wikitext2"].get<std::string>());
    BOOST_TEST(digest(tokenizer, mixed_texts(), true) == want["mixed"].get<std::string>());
    BOOST_TEST(digest(tokenizer, every_code_point(), false) == want["every_code_point"].get<std::string>());
  }
}

void check_file(const std::string& folder, const std::string& name) {
  const auto path = shared_folder / folder / "tokenizer.json";
  if (is_there(path)) check_digests(*load_tokenizer(path), name);
}

// Texts are separated by a line __ggml_vocab_test__; a line of ids for each.
void check_vectors(const Tokenizer& tokenizer, const std::string& name) {
  const auto folder = shared_folder / "tokenizers/vectors";
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string all = read_text(folder / (name + ".inp"));
  const auto want = lines_of(read_text(folder / (name + ".out")));
  std::size_t count = 0;
  for (std::size_t at = 0; at < all.size(); ++count) {
    const std::size_t end = std::min(all.find(separator, at), all.size());
    std::vector<TokenId> ids;
    tokenizer.encode(all.substr(at, end - at), false, ids);
    std::ostringstream line;
    for (const TokenId id : ids) line << ' ' << id;
    BOOST_TEST(line.str() == want.at(count), name << " text " << count);
    at = end + separator.size();
  }
  BOOST_TEST(count > 40U);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shared_tokenizers)

BOOST_AUTO_TEST_CASE(gpt2) {
  if (!is_there(shared_folder / "tokenizers/gpt2/vocab.json")) return;
  const auto tokenizer = parse_tokenizer(gpt2_json(), "gpt2");
  check_digests(*tokenizer, "gpt2");
  check_vectors(*tokenizer, "ggml-vocab-gpt-2.gguf");
}

BOOST_AUTO_TEST_CASE(bert_base_uncased) {
  if (!is_there(shared_folder / "tokenizers/bert-base-uncased/vocab.txt")) return;
  const auto tokenizer = parse_tokenizer(bert_json(), "bert");
  check_digests(*tokenizer, "bert_base_uncased");
  check_vectors(*tokenizer, "ggml-vocab-bert-bge.gguf");
}

BOOST_AUTO_TEST_CASE(phi_3_mini) {
  check_file("tokenizers/phi-3-mini", "phi_3_mini");
  const auto path = shared_folder / "tokenizers/phi-3-mini/tokenizer.json";
  if (is_there(path)) check_vectors(*load_tokenizer(path), "ggml-vocab-phi-3.gguf");
}

BOOST_AUTO_TEST_CASE(gpt_neox_20b) {
  check_file("tokenizers/gpt-neox-20b", "gpt_neox_20b");
}

BOOST_AUTO_TEST_CASE(t5_small) {
  check_file("tokenizers/t5-small", "t5_small");
}

BOOST_AUTO_TEST_CASE(tinystories656K) {
  check_file("tinystories656K", "tinystories656K");
}

BOOST_AUTO_TEST_CASE(stories260K) {
  check_file("stories260K-hf", "stories260K");
}

BOOST_AUTO_TEST_CASE(bert_tiny_banking77) {
  check_file("bert-tiny-banking77", "bert_tiny_banking77");
}

BOOST_AUTO_TEST_SUITE_END()
