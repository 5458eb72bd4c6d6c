// Small tokenizers of every kind against what Hugging Face `tokenizers` made of the same texts.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "corpora.h"

using namespace thresher::text;

namespace {

std::vector<std::string> fixtures() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(data_folder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

std::unique_ptr<Tokenizer> fixture(const std::string& name) {
  return load_tokenizer(data_folder / name / "tokenizer.json");
}

std::string decoded(const nlohmann::json& entry, std::size_t index, const std::string& text) {
  return entry[index].is_null() ? text : entry[index].get<std::string>();
}

const std::vector<std::string>& texts() {
  static const std::vector<std::string> all = read_json(data_folder / "texts.json");
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fixture_tokenizers)

BOOST_AUTO_TEST_CASE(all_are_there) {
  BOOST_TEST(fixtures().size() >= 23U);
}

BOOST_DATA_TEST_CASE(ids_and_decoded_texts, boost::unit_test::data::make(fixtures()), name) {
  const auto tokenizer = fixture(name);
  const auto expected = read_json(data_folder / name / "expected.json");
  BOOST_REQUIRE_EQUAL(expected.size(), texts().size());
  for (std::size_t i = 0; i < texts().size(); ++i) {
    const std::string& text = texts()[i];
    const auto want = expected[i][0].template get<std::vector<TokenId>>();
    std::vector<TokenId> ids;
    tokenizer->encode(text, true, ids);
    BOOST_TEST(ids == want, "text " << i << ": " << text);
    BOOST_TEST(tokenizer->decode(want, false) == decoded(expected[i], 1, text));
    BOOST_TEST(tokenizer->decode(want, true) == decoded(expected[i], expected[i].size() > 2 ? 2 : 1, text));
  }
}

BOOST_DATA_TEST_CASE(whole_corpora, boost::unit_test::data::make(fixtures()), name) {
  const auto tokenizer = fixture(name);
  const auto want = read_json(data_folder / "digests.json")["fixtures"][name];
  BOOST_TEST(digest(*tokenizer, every_code_point(), false) == want["every_code_point"].template get<std::string>());
  BOOST_TEST(digest(*tokenizer, mixed_texts(), true) == want["mixed"].template get<std::string>());
}

// One part of suffix_bpe (whose words show where they end) replaced: every behaviour, normalizer and decoder alone.
BOOST_AUTO_TEST_CASE(variants) {
  auto base = read_json(data_folder / "suffix_bpe/tokenizer.json");
  const auto mixed = mixed_texts();
  const auto every = every_code_point();
  const auto all = read_json(data_folder / "variants.json");
  BOOST_REQUIRE(all.size() > 90);
  for (const auto& variant : all) {
    auto changed = base;
    changed.update(variant["parts"]);
    const auto name = variant["name"].get<std::string>();
    BOOST_TEST_CONTEXT(name) {
      const auto tokenizer = parse_tokenizer(changed.dump(), name);
      const auto& want = variant["digests"];
      BOOST_TEST(digest(*tokenizer, texts(), true) == want["texts"].get<std::string>());
      BOOST_TEST(digest(*tokenizer, std::span(mixed).first(500), true) == want["mixed"].get<std::string>());
      if (want.contains("every_code_point")) {
        BOOST_TEST(digest(*tokenizer, every, false) == want["every_code_point"].get<std::string>());
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
