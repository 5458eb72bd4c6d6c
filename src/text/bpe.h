// Byte-pair encoding: a word is its characters (or bytes), and the pair that was learnt first is merged first, leftmost
// first, until no known pair is left.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/code_point_map.h"
#include "text/model.h"

namespace thresher::text {

struct BpeScratch;

// A pair of ids to the rank of its merge and the id that it becomes.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank;
    TokenId result;
  };
  static constexpr std::uint32_t no_rank = ~std::uint32_t{0};

  explicit MergeTable(std::size_t merges);

  // A pair that is there already gets the new rank.
  void add(TokenId left, TokenId right, Merge merge);
  // rank no_rank where the pair has no merge.
  Merge find(TokenId left, TokenId right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t slot = slot_of(key);; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) return slots_[slot].merge;
      if (slots_[slot].key == free_key) return {no_rank, 0};
    }
  }

 private:
  struct Slot {
    std::uint64_t key = free_key;
    Merge merge{no_rank, 0};
  };
  static constexpr std::uint64_t free_key = ~std::uint64_t{0};  // no id is that high

  static std::uint64_t key_of(TokenId left, TokenId right) { return std::uint64_t{left} << 32 | right; }
  std::size_t slot_of(std::uint64_t key) const {
    const std::uint64_t product = (key ^ seed_) * 0x9E3779B97F4A7C15ULL;
    return ((product ^ product >> 32) * 0xD6E8FEB86659FD93ULL) >> shift_;
  }

  std::vector<Slot> slots_;
  std::size_t mask_;
  int shift_;
  std::uint64_t seed_ = hash_seed();
};

struct BpeOptions {
  std::optional<std::string> unknown;  // the token of what has no token; without one it disappears
  std::string prefix;                  // of every character but a word's first
  std::string suffix;                  // of a word's last character
  bool fuse_unknown = false;
  bool byte_fallback = false;  // what has no token becomes its bytes, <0x00> ... <0xFF>
  bool ignore_merges = false;  // a word that is a token is that token
  bool byte_words = false;     // words come as raw bytes instead of the characters of ByteAlphabet
};

class Bpe final : public Model {
 public:
  // Merges are in the order of their ranks; every string of one has to be in the vocabulary: the loader has checked.
  struct Rule {
    TokenId left;
    TokenId right;
    TokenId result;
  };
  Bpe(Vocabulary vocabulary, const std::vector<Rule>& rules, BpeOptions options);

  // Whether words of ByteAlphabet's characters can come as raw bytes with the same result.
  static bool takes_bytes(const Vocabulary& vocabulary, const BpeOptions& options);

  void encode(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const override;
  std::size_t token_count() const override { return vocabulary_.size(); }
  std::size_t id_limit() const override { return vocabulary_.id_limit(); }
  std::optional<TokenId> id_of(std::string_view token) const override { return vocabulary_.find(token); }
  std::string_view token_of(TokenId id) const override { return vocabulary_.token(id); }
  bool holds(TokenId id) const override { return vocabulary_.holds(id); }

 private:
  static constexpr std::size_t joint_bits = std::size_t{1} << 20;

  void note_joints(const std::vector<Rule>& rules);
  bool may_join(char32_t left, char32_t right) const;
  void encode_short(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const;
  void encode_in_parts(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const;
  void encode_whole(std::string_view word, BpeScratch& scratch, std::vector<TokenId>& ids) const;
  void split_to_symbols(std::string_view word, std::vector<TokenId>& symbols) const;
  std::optional<TokenId> symbol_of(std::string_view character, bool first, bool last) const;
  bool add_bytes(std::string_view character, std::vector<TokenId>& symbols) const;
  void merge_few(BpeScratch& scratch, std::vector<TokenId>& ids) const;
  void merge_many(BpeScratch& scratch, std::vector<TokenId>& ids) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  MergeTable merges_;
  Vocabulary byte_words_;    // tokens as raw bytes, for ignore_merges with byte_words
  CodePointMap characters_;  // ids of single characters, without prefix and suffix
  std::array<std::optional<TokenId>, 256>
      bytes_{};  // of single bytes: with byte_words the symbols, else <0x00> ... <0xFF>
  std::optional<TokenId> unknown_;
  bool divisible_;
  std::vector<bool> joints_;  // hashed pairs of characters that some merge joins
};

}  // namespace thresher::text
