// WordPiece: the longest token that the word starts with, then the longest continuation, to the end; a word that does
// not come out even is unknown. WordLevel: whole words only.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/model.h"

namespace thresher::text {

struct WordPieceOptions {
  std::string unknown;
  std::string prefix;                 // of continuations
  std::size_t most_characters = 100;  // longer words are unknown
  bool whole_words = false;           // WordLevel
};

class WordPiece final : public Model {
 public:
  WordPiece(Vocabulary vocabulary, WordPieceOptions options);

  void encode(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const override;
  std::size_t token_count() const override { return vocabulary_.size(); }
  std::size_t id_limit() const override { return vocabulary_.id_limit(); }
  std::optional<TokenId> id_of(std::string_view token) const override { return vocabulary_.find(token); }
  std::string_view token_of(TokenId id) const override { return vocabulary_.token(id); }
  bool holds(TokenId id) const override { return vocabulary_.holds(id); }

 private:
  void encode_whole(std::string_view word, std::vector<TokenId>& ids) const;
  bool encode_pieces(std::string_view word, std::vector<TokenId>& ids) const;
  TokenId unknown() const;

  Vocabulary vocabulary_;
  Vocabulary continuations_;  // without their prefix
  WordPieceOptions options_;
  std::optional<TokenId> unknown_;
};

}  // namespace thresher::text
