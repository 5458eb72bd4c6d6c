// The "model" of a tokenizer.json.
#include <fmt/core.h>

#include <cstdint>
#include <utility>

#include "text/assemble.h"
#include "text/bpe.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

namespace thresher::text {
namespace {

Vocabulary read_vocabulary(const Field& field) {
  Vocabulary vocabulary;
  field.each_member([&](std::string_view token, const Field& value) {
    const auto id = static_cast<TokenId>(value.integer(0, highest_id));
    if (vocabulary.holds(id)) {
      field.fail(fmt::format("gives id {} to \"{}\" and to \"{}\"", id, vocabulary.token(id), token));
    }
    if (!vocabulary.add(token, id)) field.fail(fmt::format("has the token \"{}\" twice", token));
  });
  return vocabulary;
}

std::string text_or_empty(const Field& field) {
  return field.present() ? std::string(field.text()) : std::string();
}

std::pair<std::string_view, std::string_view> read_pair(const Field& merge, std::size_t rank) {
  if (merge.is_array()) {
    const auto both = merge.elements();
    if (both.size() == 2) return {both[0].text(), both[1].text()};
  } else {
    const std::string_view text = merge.text();
    const std::size_t space = text.find(' ');
    if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  merge.fail(fmt::format("entry {} is not a pair of tokens", rank));
}

std::vector<Bpe::Rule> read_merges(const Field& field, const Vocabulary& vocabulary, std::size_t prefix_size) {
  std::vector<Bpe::Rule> rules;
  rules.reserve(field.size());
  std::string joined;
  field.each([&](const Field& merge) {
    if (merge.is_string() && merge.text().starts_with("#version")) return;
    const auto [left, right] = read_pair(merge, rules.size());
    const auto id_of = [&](std::string_view token) {
      const auto id = vocabulary.find(token);
      if (!id) field.fail(fmt::format("entry {} has \"{}\", which is not in model.vocab", rules.size(), token));
      return *id;
    };
    if (right.size() < prefix_size) {
      field.fail(fmt::format("entry {} has \"{}\", shorter than the continuing_subword_prefix", rules.size(), right));
    }
    joined.assign(left).append(right.substr(prefix_size));
    rules.push_back({id_of(left), id_of(right), id_of(joined)});
  });
  return rules;
}

std::unique_ptr<Model> read_bpe(const Field& field, bool& byte_words) {
  BpeOptions options;
  if (field["unk_token"].present()) options.unknown = field["unk_token"].text();
  options.prefix = text_or_empty(field["continuing_subword_prefix"]);
  options.suffix = text_or_empty(field["end_of_word_suffix"]);
  options.fuse_unknown = field["fuse_unk"].boolean_or(false);
  options.byte_fallback = field["byte_fallback"].boolean_or(false);
  options.ignore_merges = field["ignore_merges"].boolean_or(false);
  if (const Field dropout = field["dropout"]; dropout.present() && dropout.number() != 0) {
    dropout.refuse("is not supported: tokens would be drawn at random");
  }
  Vocabulary vocabulary = read_vocabulary(field["vocab"]);
  const auto rules = read_merges(field["merges"], vocabulary, options.prefix.size());
  options.byte_words = byte_words = byte_words && Bpe::takes_bytes(vocabulary, options);
  return std::make_unique<Bpe>(std::move(vocabulary), rules, std::move(options));
}

std::unique_ptr<Model> read_wordpiece(const Field& field, bool whole_words) {
  WordPieceOptions options;
  options.unknown = field["unk_token"].text();
  options.whole_words = whole_words;
  if (!whole_words) {
    options.prefix = field["continuing_subword_prefix"].text();
    options.most_characters =
        static_cast<std::size_t>(field["max_input_chars_per_word"].integer(0, std::int64_t{1} << 30));
  }
  return std::make_unique<WordPiece>(read_vocabulary(field["vocab"]), std::move(options));
}

std::unique_ptr<Model> read_unigram(const Field& field) {
  Vocabulary vocabulary;
  std::vector<double> scores;
  const Field pieces = field["vocab"];
  scores.reserve(pieces.size());
  pieces.each([&](const Field& piece) {
    const auto both = piece.elements();
    if (both.size() != 2) pieces.fail(fmt::format("entry {} is not a token and its score", scores.size()));
    if (!vocabulary.add(both[0].text(), static_cast<TokenId>(scores.size()))) {
      pieces.fail(fmt::format("entry {} has the token \"{}\" again, or there are more than {} tokens", scores.size(),
                              both[0].text(), highest_id));
    }
    scores.push_back(both[1].number());
  });
  UnigramOptions options;
  if (const Field unknown = field["unk_id"]; unknown.present()) {
    if (scores.empty()) unknown.fail("is given, and the vocabulary is empty");
    options.unknown = static_cast<TokenId>(unknown.integer(0, static_cast<std::int64_t>(scores.size()) - 1));
  }
  options.byte_fallback = field["byte_fallback"].boolean_or(false);
  return std::make_unique<Unigram>(std::move(vocabulary), std::move(scores), options);
}

// Files from before "type" was written.
std::string_view type_of(const Field& field) {
  if (field["type"].present()) return field["type"].text();
  if (field["merges"].present()) return "BPE";
  if (field["vocab"].is_array()) return "Unigram";
  return field["continuing_subword_prefix"].present() ? "WordPiece" : "WordLevel";
}

}  // namespace

std::unique_ptr<Model> read_model(const Field& field, bool& byte_words) {
  if (!field.present()) field.fail("is missing");
  const std::string_view type = type_of(field);
  if (type == "BPE") return read_bpe(field, byte_words);
  byte_words = false;
  if (type == "WordPiece") return read_wordpiece(field, false);
  if (type == "WordLevel") return read_wordpiece(field, true);
  if (type == "Unigram") return read_unigram(field);
  field["type"].refuse(fmt::format("\"{}\" is not supported (BPE, WordPiece, WordLevel, Unigram are)", type));
}

}  // namespace thresher::text
