// Unigram language model: the segmentation of the word with the highest sum of scores (Viterbi).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/model.h"
#include "text/trie.h"

namespace thresher::text {

struct UnigramScratch;

struct UnigramOptions {
  std::optional<TokenId> unknown;
  bool byte_fallback = false;
};

class Unigram final : public Model {
 public:
  // A score for each id of the vocabulary, which has no gaps.
  Unigram(Vocabulary vocabulary, std::vector<double> scores, UnigramOptions options);

  void encode(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const override;
  std::size_t token_count() const override { return vocabulary_.size(); }
  std::size_t id_limit() const override { return vocabulary_.id_limit(); }
  std::optional<TokenId> id_of(std::string_view token) const override { return vocabulary_.find(token); }
  std::string_view token_of(TokenId id) const override { return vocabulary_.token(id); }
  bool holds(TokenId id) const override { return vocabulary_.holds(id); }

 private:
  void encode_whole(std::string_view word, UnigramScratch& scratch, std::vector<TokenId>& ids) const;
  std::size_t extend(std::string_view word, std::size_t at, std::size_t base, UnigramScratch& scratch) const;
  void pass_best(std::string_view word, std::size_t begin, std::size_t end, UnigramScratch& scratch,
                 std::vector<TokenId>& ids) const;
  void add_piece(std::string_view piece, std::vector<TokenId>& ids) const;
  TokenId unknown() const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  UnigramOptions options_;
  double unknown_score_;
  Trie trie_;
  std::array<std::optional<TokenId>, 256> bytes_{};
};

}  // namespace thresher::text
