// Unigram language model: the segmentation of the word with the highest sum of scores (Viterbi).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "text/model.h"

namespace thresher::text {

struct UnigramScratch;

// All keys that a text starts with, in order of length.
class Trie {
 public:
  // Keys must be unique and not empty; values are below 2^32 - 1.
  explicit Trie(std::vector<std::pair<std::string_view, std::uint32_t>> keys);

  // Calls take(length, value) for every key that `text` starts with.
  template <typename Take>
  void prefixes(std::string_view text, Take&& take) const {
    std::uint32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      node = i == 0 ? root_[static_cast<unsigned char>(text[0])] : child(node, static_cast<unsigned char>(text[i]));
      if (node == none) return;
      if (nodes_[node].value != none) take(i + 1, nodes_[node].value);
    }
  }

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  struct Node {
    std::uint32_t first = 0;  // children are contiguous, sorted by label
    std::uint32_t count = 0;
    std::uint32_t value = none;
  };

  std::uint32_t child(std::uint32_t node, unsigned char label) const;

  std::vector<Node> nodes_;
  std::vector<unsigned char> labels_;  // of the edge into each node
  std::array<std::uint32_t, 256> root_{};
};

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
