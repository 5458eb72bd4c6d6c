// Tokens that are found in the text before the model sees it: special tokens and those that users added.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/model.h"
#include "text/normalise.h"
#include "text/trie.h"

namespace thresher::text {

struct AddedToken {
  std::string content;
  bool single_word = false;
  bool left_strip = false;
  bool right_strip = false;
  bool normalised = true;
  bool special = false;
};

class AddedTokens {
 public:
  // Ids are given as the library gives them: a token that the model has keeps the model's id, others count up from
  // the model's size; the ids in the file have no say. `normalisers` may be empty.
  AddedTokens(const std::vector<AddedToken>& tokens, const Model& model,
              std::span<const std::unique_ptr<Normaliser>> normalisers, const std::string& field);

  // A stretch of text, or one token.
  struct Part {
    std::size_t begin;
    std::size_t end;
    std::optional<TokenId> id;
  };

  // Cuts `text` at the tokens that match before normalisation, or at those that match after it, and calls take(part) in
  // order. Stretches between tokens may be empty.
  template <typename Take>
  void cut(std::string_view text, bool after_normalisation, Take&& take) const {
    const Matcher& matcher = after_normalisation ? normalised_ : plain_;
    std::size_t covered = 0;
    for (std::size_t from = 0; const auto match = matcher.find(text, from);) {
      from = match->end;
      const auto part = widen(text, *match, covered);
      if (!part) continue;
      if (covered < part->begin) take(Part{covered, part->begin, std::nullopt});
      take(*part);
      covered = part->end;
    }
    if (covered != text.size()) take(Part{covered, text.size(), std::nullopt});
  }

  std::optional<TokenId> find(std::string_view content) const;
  bool holds(TokenId id) const { return tokens_.contains(id); }
  // What the decoder sees: the normalised content where that differs.
  std::string_view decoded(TokenId id) const;
  std::string_view content(TokenId id) const { return tokens_.at(id).content; }
  // Whether a token with this text is special.
  bool is_special(std::string_view content) const;
  std::size_t id_limit() const { return tokens_.empty() ? 0 : std::size_t{tokens_.rbegin()->first} + 1; }

 private:
  struct Match {
    std::size_t begin;
    std::size_t end;
    TokenId id;
  };

  using Patterns = std::vector<std::pair<std::string_view, TokenId>>;

  // Leftmost, then longest.
  class Matcher {
   public:
    Matcher() : Matcher(Patterns()) {}
    explicit Matcher(const Patterns& patterns);
    std::optional<Match> find(std::string_view text, std::size_t from) const;

   private:
    Trie trie_;
    std::optional<char> only_first_;  // where all patterns begin with the same byte
    bool empty_;
  };

  std::optional<Part> widen(std::string_view text, const Match& match, std::size_t covered) const;

  std::map<TokenId, AddedToken> tokens_;
  std::map<TokenId, std::string> normalised_content_;
  std::map<std::string, TokenId, std::less<>> ids_;
  std::vector<std::string> special_;  // sorted
  Matcher plain_;
  Matcher normalised_;
};

}  // namespace thresher::text
