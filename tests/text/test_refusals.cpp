// What a tokenizer.json must not do: each file is refused with the right exit code and a message that names the place.
#include <boost/test/unit_test.hpp>

#include "corpora.h"
#include "thresher/base/check.h"

using namespace thresher;
using namespace thresher::text;
using nlohmann::json;

namespace {

// A tokenizer that loads; every test spoils one thing.
json valid() {
  return json::parse(R"({
    "version": "1.0",
    "added_tokens": [{"id": 4, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                      "normalized": false, "special": true}],
    "normalizer": {"type": "Replace", "pattern": {"String": "x"}, "content": "y"},
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a+"}, "behavior": "Isolated", "invert": false},
    "post_processor": {"type": "TemplateProcessing",
                       "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                       "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}},
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "unk_token": "u", "vocab": {"a": 0, "b": 1, "ab": 2, "u": 3}, "merges": ["a b"]}
  })");
}

struct Failure {
  base::Exit code = base::Exit::ok;
  std::string message;
};

Failure failure_of(const std::string& text) {
  try {
    parse_tokenizer(text, "tokenizer.json");
  } catch (const base::Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

void refused(const std::string& text, base::Exit code, const std::string& part) {
  const Failure failure = failure_of(text);
  BOOST_TEST(static_cast<int>(failure.code) == static_cast<int>(code), text.substr(0, 300) << ": " << failure.message);
  BOOST_TEST(failure.message.find(part) != std::string::npos,
             "\"" << failure.message << "\" has no \"" << part << "\"");
}

// With the value at a JSON pointer replaced.
void refused_with(const std::string& pointer, const json& value, base::Exit code, const std::string& part) {
  json changed = valid();
  changed[json::json_pointer(pointer)] = value;
  refused(changed.dump(), code, part);
}

void refused_pattern(const std::string& pattern, const std::string& part) {
  refused_with("/pre_tokenizer/pattern/Regex", pattern, base::Exit::config, part);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(refusals)

BOOST_AUTO_TEST_CASE(the_valid_one_loads) {
  const auto tokenizer = parse_tokenizer(valid().dump(), "tokenizer.json");
  std::vector<TokenId> ids;
  tokenizer->encode("ab<s>x", true, ids);
  BOOST_TEST(ids == (std::vector<TokenId>{4, 0, 1, 4, 3}));
  BOOST_TEST(tokenizer->vocabulary_size() == 5);
  BOOST_TEST(tokenizer->id_of("<s>").value() == 4U);
  BOOST_TEST(!tokenizer->id_of("c").has_value());
  BOOST_TEST(tokenizer->token_of(2) == "ab");
  BOOST_TEST(tokenizer->token_of(99) == "");
  BOOST_TEST(tokenizer->decode(std::vector<TokenId>{4, 2, 77}, true) == "ab");
  BOOST_TEST(tokenizer->special_prefix().size() == 1U);
  BOOST_TEST(tokenizer->special_suffix().empty());
  BOOST_TEST(tokenizer->fingerprint() == base::digest_of(valid().dump()).hex());
}

BOOST_AUTO_TEST_CASE(files) {
  BOOST_CHECK_EXCEPTION(load_tokenizer("/nonexistent/tokenizer.json"), base::Error,
                        [](const base::Error& error) { return error.code() == base::Exit::no_input; });
  BOOST_CHECK_THROW(load_tokenizer("/"), base::Error);
}

BOOST_AUTO_TEST_CASE(not_json) {
  for (const char* text : {"", "{", "[1", "nul", "{\"a\":1}x", "{\"a\" 1}", "\"\\ud800\"", "{\"version\": 1e999}"}) {
    refused(text, base::Exit::data, "tokenizer.json is not JSON at byte");
  }
  refused("{\"a\": \"\xFF\"}", base::Exit::data, "is not JSON");
  refused(std::string("{}\0{}", 5), base::Exit::data, "holds a zero byte");
  refused(std::string(100'000, '['), base::Exit::data, "nests deeper than 64");
  refused(std::string(64, '[') + std::string(64, ']'), base::Exit::data, "is not an object");
  refused("[]", base::Exit::data, "is not an object");
  refused("{}", base::Exit::data, "tokenizer.json: model is missing");
}

BOOST_AUTO_TEST_CASE(vocabulary) {
  refused_with("/model/vocab/b", 0, base::Exit::data, "gives id 0 to \"a\" and to \"b\"");
  refused_with("/model/vocab/b", -1, base::Exit::data, "-1");
  refused_with("/model/vocab/b", 4194304, base::Exit::data, "not an integer from 0 to 4194303");
  refused_with("/model/vocab/b", 9007199254740993, base::Exit::data, "9007199254740993");
  refused_with("/model/vocab/b", 18446744073709551615U, base::Exit::data, "is not an integer");
  refused_with("/model/vocab/b", 1.5, base::Exit::data, "is not an integer");
  refused_with("/model/vocab/b", "1", base::Exit::data, "is not an integer");
  refused_with("/model/vocab", json::array(), base::Exit::data, "model.vocab is not an object");
  std::string twice = valid().dump();
  twice.replace(twice.find("\"b\":1"), 5, "\"b\":1,\"b\":9");
  refused(twice, base::Exit::data, "has the token \"b\" twice");
}

BOOST_AUTO_TEST_CASE(merges) {
  refused_with("/model/merges", {"a c"}, base::Exit::data, "entry 0 has \"c\", which is not in model.vocab");
  refused_with("/model/merges", {"b a"}, base::Exit::data, "\"ba\"");
  refused_with("/model/merges", {"a b", "ab"}, base::Exit::data, "entry 1 is not a pair");
  refused_with("/model/merges", {"a b c"}, base::Exit::data, "not a pair");
  refused_with("/model/merges", json::parse(R"([["a","b","u"]])"), base::Exit::data, "not a pair");
  refused_with("/model/merges", json::parse(R"([["a",1]])"), base::Exit::data, "is not a string");
  refused_with("/model/merges", {7}, base::Exit::data, "is not a string");
  refused_with("/model/continuing_subword_prefix", "####", base::Exit::data, "shorter than");
  refused_with("/model/dropout", 0.1, base::Exit::config, "model.dropout is not supported");
  json same = valid();
  same["model"]["merges"] = json::parse(R"([["a","b"]])");
  BOOST_TEST(failure_of(same.dump()).message == "");
}

BOOST_AUTO_TEST_CASE(other_models) {
  refused_with("/model/type", "Word2Vec", base::Exit::config, "model.type \"Word2Vec\" is not supported");
  refused_with("/model/type", "WordPiece", base::Exit::data, "model.continuing_subword_prefix is missing");
  const auto unigram = [](const char* model) {
    json changed = valid();
    changed["model"] = json::parse(model);
    return changed.dump();
  };
  refused(unigram(R"({"type":"Unigram","vocab":[["a",0],["a",1]]})"), base::Exit::data,
          "entry 1 has the token \"a\" again");
  refused(unigram(R"({"type":"Unigram","vocab":[["a"]]})"), base::Exit::data, "entry 0 is not a token and its score");
  refused(unigram(R"({"type":"Unigram","vocab":[["a","b"]]})"), base::Exit::data, "is not a number");
  refused(unigram(R"({"type":"Unigram","vocab":[["a",0]],"unk_id":1})"), base::Exit::data, "model.unk_id is 1");
  refused(unigram(R"({"type":"Unigram","vocab":[],"unk_id":0})"), base::Exit::data, "the vocabulary is empty");
}

BOOST_AUTO_TEST_CASE(stages) {
  refused_with("/normalizer/type", "Rot13", base::Exit::config, "normalizer.type \"Rot13\" is not supported");
  refused_with("/pre_tokenizer/type", "Magic", base::Exit::config, "pre_tokenizer.type");
  refused_with("/decoder/type", "Magic", base::Exit::config, "decoder.type");
  refused_with("/post_processor/type", "Magic", base::Exit::config, "post_processor.type");
  refused_with("/pre_tokenizer/behavior", "Eaten", base::Exit::config, "\"Eaten\" is not a behaviour");
  refused_with("/pre_tokenizer/pattern", json::object(), base::Exit::data, "neither String nor Regex");
  refused_with("/pre_tokenizer/invert", nullptr, base::Exit::data, "pre_tokenizer.invert is not true or false");
  refused_with("/pre_tokenizer", "ByteLevel", base::Exit::data, "pre_tokenizer is not an object");
  json deep = {{"type", "Lowercase"}};
  for (int i = 0; i < 15; ++i) deep = {{"type", "Sequence"}, {"normalizers", {deep, deep}}};
  refused_with("/normalizer", deep["normalizers"][0]["normalizers"][0]["normalizers"][0], base::Exit::data,
               "more than 64");
  refused_with("/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "__"}}, base::Exit::data,
               "is not one character");
  refused_with("/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "last"}},
               base::Exit::config, "is not a scheme");
  refused_with("/pre_tokenizer", {{"type", "FixedLength"}, {"length", 0}}, base::Exit::data, "is 0");
  refused_with("/version", "2.0", base::Exit::config, "version is not \"1.0\"");
}

BOOST_AUTO_TEST_CASE(character_maps) {
  const auto map = [](const std::string& text) {
    return json{{"type", "Precompiled"}, {"precompiled_charsmap", text}};
  };
  refused_with("/normalizer", map("!!!!"), base::Exit::data, "normalizer.precompiled_charsmap: is not base64");
  refused_with("/normalizer", map("AA=="), base::Exit::data, "too short");
  refused_with("/normalizer", map("AAAAAA=="), base::Exit::data, "the trie has 0 bytes");
  refused_with("/normalizer", map("BAEAAAAAAAA="), base::Exit::data, "the trie has 260 bytes of 4");
  refused_with("/normalizer", map("BAAAAP////8="), base::Exit::data, "the trie points to unit");
}

BOOST_AUTO_TEST_CASE(added_tokens) {
  refused_with("/added_tokens/0/content", 5, base::Exit::data, "added_tokens[0].content is not a string");
  refused_with("/added_tokens/0/id", -5, base::Exit::data, "added_tokens[0].id is -5");
  json twice = valid();
  twice["normalizer"] = {{"type", "Lowercase"}};
  for (const char* content : {"Q", "q"}) {
    auto token = twice["added_tokens"][0];
    token["content"] = content;
    token["normalized"] = true;
    twice["added_tokens"].push_back(token);
  }
  refused(twice.dump(), base::Exit::data, "equal to another one");
}

BOOST_AUTO_TEST_CASE(post_processors) {
  refused_with("/post_processor/single/0/SpecialToken/id", "<t>", base::Exit::data,
               "post_processor.special_tokens.<t>.ids is missing");
  refused_with("/post_processor/special_tokens/<s>/ids/0", 5, base::Exit::data,
               "adds id 5, and the vocabulary has 5 ids");
  refused_with("/post_processor/single/1/Sequence/id", "B", base::Exit::config, "is not the text, once");
  json two = valid();
  two["post_processor"] = {{"type", "Sequence"}, {"processors", {two["post_processor"], two["post_processor"]}}};
  refused(two.dump(), base::Exit::config, "a second one that adds tokens");
  json none = valid();
  none["post_processor"]["single"].erase(1);
  refused(none.dump(), base::Exit::config, "leaves the text out");
}

BOOST_AUTO_TEST_CASE(patterns) {
  refused_pattern("(a", "a group without an end");
  refused_pattern("a)", "unmatched )");
  refused_pattern("[a", "a class without an end");
  refused_pattern("[]", "]");
  refused_pattern("[b-a]", "from high to low");
  refused_pattern("*a", "repeats nothing");
  refused_pattern("a{5,2}", "from high to low");
  refused_pattern("a{1001}", "more than 1000 repetitions");
  refused_pattern("a{2}?", "{2}?");
  refused_pattern("(?~a)", "the group (?~");
  refused_pattern("(?(1)a)", "the group (?(");
  refused_pattern("(?C1)a", "the group (?C");
  refused_pattern("\\C", "\\C");
  refused_pattern("\\1", "\\1");
  refused_pattern("\\K", "\\K");
  refused_pattern("\\X", "\\X");
  refused_pattern("\\p{Klingon}", "the property \\p{Klingon}");
  refused_pattern("\\p{Cn}", "the property \\p{Cn}");
  refused_pattern("\\x{110000}", "no character");
  refused_pattern("\\xff", "beyond ASCII");
  refused_pattern("\\", "a \\ at the end");
  refused_pattern("(?i)stra\u00dfe", "without regard to case");
  refused_pattern("(?i:gross)", "without regard to case");
  refused_pattern("(?<=a+)b", "does not compile");
  refused_pattern("(?x) a", "the group (?x");
  refused_pattern(std::string(65, '(') + "a" + std::string(65, ')'), "nest deeper than 64");
  refused_pattern(std::string(70'000, 'a'), "at most 65536");
  refused_pattern(std::string(10, '[') + "a" + std::string(10, ']'), "nest deeper than 8");
}

BOOST_AUTO_TEST_SUITE_END()
