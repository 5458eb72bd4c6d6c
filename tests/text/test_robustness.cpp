// Texts that are long, hostile or encoded from many threads.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "corpora.h"
#include "text/oniguruma.h"
#include "text/pattern.h"
#include "text/trie.h"
#include "text/vocabulary.h"
#include "thresher/base/check.h"

using namespace thresher;
using namespace thresher::text;

namespace {

std::unique_ptr<Tokenizer> fixture(const std::string& name) {
  return load_tokenizer(data_folder / name / "tokenizer.json");
}

std::string repeat(const std::string& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

std::vector<TokenId> ids_of(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<TokenId> ids;
  tokenizer.encode(text, true, ids);
  return ids;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(robustness)

BOOST_AUTO_TEST_CASE(invalid_utf8_is_an_error) {
  const auto tokenizer = fixture("gpt2");
  for (const std::string text :
       {"a\xFF", "\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "12345678\x80", "\xE2\x82"}) {
    BOOST_CHECK_EXCEPTION(ids_of(*tokenizer, text), base::Error,
                          [](const base::Error& error) { return error.code() == base::Exit::data; });
  }
  BOOST_TEST(ids_of(*tokenizer, "still works").size() > 0U);
}

// A megabyte without a place to cut takes time in proportion: nothing on the way is quadratic.
BOOST_AUTO_TEST_CASE(long_words) {
  using Clock = std::chrono::steady_clock;
  for (const char* name : {"gpt2", "llama2", "t5", "bert_uncased", "neox", "suffix_bpe", "albert", "unigram_bytes"}) {
    const auto tokenizer = fixture(name);
    for (const std::string unit : {"ab", "\u0301\u0323", "\u4e00", " ", "\U0001f468\u200d", "<s", "1"}) {
      const std::string text = repeat(unit, (std::size_t{1} << 20) / unit.size());
      const auto start = Clock::now();
      ids_of(*tokenizer, text);
      const std::chrono::duration<double> seconds = Clock::now() - start;
      BOOST_TEST(seconds.count() < 20.0, name << " took " << seconds.count() << " s for a megabyte of " << unit);
    }
  }
}

// The heap for long words and the scan for short ones agree where both apply.
BOOST_AUTO_TEST_CASE(words_of_every_length) {
  const auto tokenizer = fixture("gpt2");
  const std::string word = repeat("antidisestablishmentarianism", 8);
  for (std::size_t size = 1; size <= word.size(); ++size) {
    const auto ids = ids_of(*tokenizer, word.substr(0, size));
    BOOST_TEST(tokenizer->decode(ids, false) == word.substr(0, size));
    BOOST_TEST(ids == ids_of(*fixture("gpt2"), word.substr(0, size)));
  }
}

BOOST_AUTO_TEST_CASE(many_threads) {
  const auto texts = mixed_texts();
  for (const char* name : {"llama3", "llama2", "t5", "bert_cased", "clip"}) {
    const auto tokenizer = fixture(name);
    const std::string want = digest(*tokenizer, texts, false);
    std::vector<std::string> found(4);
    {
      std::vector<std::jthread> threads;
      for (std::string& mine : found) threads.emplace_back([&] { mine = digest(*tokenizer, texts, false); });
    }
    for (const std::string& mine : found) BOOST_TEST(mine == want);
  }
}

// Whatever is in the cache, the result is the same: the second pass and another order change nothing.
BOOST_AUTO_TEST_CASE(the_cache_never_shows) {
  auto texts = mixed_texts();
  const auto tokenizer = fixture("gpt2");
  std::vector<std::vector<TokenId>> first;
  for (const auto& text : texts) first.push_back(ids_of(*tokenizer, text));
  for (std::size_t i = texts.size(); i-- > 0;) BOOST_TEST(ids_of(*tokenizer, texts[i]) == first[i]);
}

BOOST_AUTO_TEST_CASE(catastrophic_patterns_give_up) {
  const Pattern pattern("(a+)+b|(a|aa)+c", "test");
  MatchMemory memory;
  const auto start = std::chrono::steady_clock::now();
  BOOST_CHECK_EXCEPTION(pattern.find(std::string(5000, 'a'), 0, memory), base::Error, [](const base::Error& error) {
    return error.code() == base::Exit::data && std::string(error.what()).find("gave up") != std::string::npos;
  });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  BOOST_TEST(seconds.count() < 10.0);
  BOOST_TEST(pattern.find("xaab", 0, memory).value().begin == 1U);
}

BOOST_AUTO_TEST_CASE(deep_recursion_of_a_pattern_is_bounded) {
  const Pattern pattern("(?:(?:a|b)(?:c|d)?)*e", "test");
  MatchMemory memory;
  const std::string text = repeat("ac", 4 << 20);
  try {
    BOOST_TEST(!pattern.find(text, 0, memory).has_value());
  } catch (const base::Error& error) {
    BOOST_TEST(static_cast<int>(error.code()) == static_cast<int>(base::Exit::data));
  }
}

// A file with a few bytes changed loads or is refused; whatever loads encodes or refuses the text. Nothing else
// happens.
BOOST_AUTO_TEST_CASE(damaged_files) {
  const auto texts = read_json(data_folder / "texts.json").get<std::vector<std::string>>();
  const char* const rounds = std::getenv("THRESHER_DAMAGED_FILES");
  const int count = rounds != nullptr ? std::atoi(rounds) : 60;
  std::mt19937 random(20240229);
  int loaded = 0;
  int refused = 0;
  for (const char* name : {"llama3", "xlmr", "bert_cased", "suffix_bpe", "deepseek", "llama2_first", "wordlevel"}) {
    const std::string json = read_text(data_folder / name / "tokenizer.json");
    for (int round = 0; round < count; ++round) {
      std::string damaged = json;
      // The start holds everything but the vocabulary.
      const std::size_t range = (round % 2 == 0 ? std::min<std::size_t>(json.size(), 2600) : json.size()) - 200;
      for (unsigned change = 0; change < 1 + random() % 3; ++change) {
        const std::size_t at = random() % range;
        static constexpr std::string_view bytes = "0123456789-[]{}\",:.eE+*?()\\|tfnul \x01\xFF";
        switch (random() % 4) {
          case 0:
            damaged[at] = bytes[random() % bytes.size()];
            break;
          case 1:
            damaged.erase(at, random() % 40);
            break;
          case 2:
            damaged.insert(at, damaged.substr(random() % range, random() % 40));
            break;
          default:
            damaged.insert(at, 1, bytes[random() % bytes.size()]);
        }
      }
      try {
        const auto tokenizer = parse_tokenizer(damaged, "damaged");
        ++loaded;
        for (const auto& text : texts) tokenizer->decode(ids_of(*tokenizer, text), round % 2 == 0);
      } catch (const base::Error&) {
        ++refused;
      }
    }
  }
  BOOST_TEST(loaded > 0);
  BOOST_TEST(refused > 0);
}

BOOST_AUTO_TEST_CASE(empty_matches) {
  const Pattern pattern("x*", "test");
  MatchMemory memory;
  std::string seen;
  for_each_part(pattern, "axb\u00e9", memory, [&](std::size_t begin, std::size_t end, bool match) {
    seen += std::to_string(begin) + '-' + std::to_string(end) + (match ? "! " : " ");
  });
  BOOST_TEST(seen == "0-0! 0-1 1-2! 2-3 3-3! 3-5 5-5! ");
}

BOOST_AUTO_TEST_CASE(a_vocabulary_keeps_its_limits) {
  Vocabulary vocabulary;
  BOOST_TEST(vocabulary.add("a", highest_id));
  BOOST_TEST(!vocabulary.add("b", highest_id + 1));
  BOOST_TEST(!vocabulary.add("a", 1));
  BOOST_TEST(!vocabulary.add("b", highest_id));
  BOOST_TEST(vocabulary.add("", 0));
  BOOST_TEST(vocabulary.find("").value() == 0U);
  BOOST_TEST(vocabulary.size() == 2U);
  for (TokenId id = 1; id < 5000; ++id) BOOST_TEST(vocabulary.add(std::to_string(id), id));
  for (TokenId id = 1; id < 5000; ++id) BOOST_TEST(vocabulary.find(std::to_string(id)).value() == id);
  BOOST_TEST(!vocabulary.find("5000").has_value());
}

BOOST_AUTO_TEST_CASE(a_trie_finds_every_prefix) {
  std::vector<std::pair<std::string_view, std::uint32_t>> keys = {
      {"a", 1}, {"abc", 2}, {"b", 3}, {"abd", 4}, {"\xFF", 5}};
  std::vector<std::string> many;
  for (int byte = 1; byte < 256; ++byte) many.push_back(std::string("q") + static_cast<char>(byte));
  for (std::uint32_t i = 0; i < many.size(); ++i) keys.emplace_back(many[i], 100 + i);
  const Trie trie(keys);
  std::string seen;
  trie.prefixes("abcd", [&](std::size_t size, std::uint32_t value) {
    seen += std::to_string(size) + ':' + std::to_string(value) + ' ';
  });
  BOOST_TEST(seen == "1:1 3:2 ");
  for (std::uint32_t i = 0; i < many.size(); ++i) {
    std::uint32_t found = 0;
    trie.prefixes(many[i] + "x", [&](std::size_t, std::uint32_t value) { found = value; });
    BOOST_TEST(found == 100 + i);
  }
}

BOOST_AUTO_TEST_CASE(malformed_utf8_is_replaced_as_rust_does) {
  BOOST_TEST(replace_invalid_utf8("a\xFF\xE2\x82z\xF0\x9F\x98\x80\xF0\x9F\x98") == "a\uFFFD\uFFFDz\U0001f600\uFFFD");
  BOOST_TEST(replace_invalid_utf8("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");
  BOOST_TEST(find_invalid_utf8("123456789\xC3\xA9").has_value() == false);
  BOOST_TEST(find_invalid_utf8("123456789\xC3").value() == 9U);
}

BOOST_AUTO_TEST_SUITE_END()
