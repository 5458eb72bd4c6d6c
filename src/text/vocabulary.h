// A model's tokens: content to id and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/text/tokenizer.h"

namespace thresher::text {

// Ids above this are refused at load: a table of this many entries is what a damaged file could make us allocate.
inline constexpr TokenId highest_id = (1U << 22) - 1;

// Drawn once per process, so that no file can be made whose tokens or merges all fall into one place of a table.
std::uint64_t hash_seed();

// A 64-bit hash of bytes, for tables that live as long as the process.
std::uint64_t hash_of_bytes(std::string_view bytes);

class Vocabulary {
 public:
  // False where the token or the id is there already, or the id is above highest_id; nothing is added then.
  bool add(std::string_view token, TokenId id);

  std::optional<TokenId> find(std::string_view token) const;
  bool holds(TokenId id) const { return id < spans_.size() && spans_[id].present; }
  // Empty for an id that no token has.
  std::string_view token(TokenId id) const;

  // Number of tokens.
  std::size_t size() const { return count_; }
  // One more than the highest id.
  std::size_t id_limit() const { return spans_.size(); }
  // Bytes of the longest token.
  std::size_t longest() const { return longest_; }

 private:
  struct Span {
    std::uint64_t begin = 0;
    std::uint32_t size = 0;
    bool present = false;
  };
  struct Slot {
    std::uint32_t hash = 0;
    TokenId id_plus_one = 0;  // 0: free
  };

  void grow();

  std::string bytes_;
  std::vector<Span> spans_;  // by id
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  std::size_t count_ = 0;
  std::size_t longest_ = 0;
};

}  // namespace thresher::text
