// Ids of words seen before. Bounded: a word takes the place of an older one with the same hash, so that results never
// depend on what is in it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace thresher::text {

class WordCache {
 public:
  // Longer words, and words of more ids, are not kept.
  static constexpr std::size_t longest_word = 30;
  static constexpr std::size_t most_ids = 8;

  // Four MiB, or nothing until the first word.
  static constexpr std::size_t entries = std::size_t{1} << 16;

  struct Entry {
    std::uint8_t size = 0;  // bytes of the word; 0: free
    std::uint8_t count = 0;
    std::array<char, longest_word> word{};
    std::array<TokenId, most_ids> ids{};
  };

  // The word's place; whoever finds another word there may keep(entry, ...) this one. The word is not longer than
  // longest_word.
  Entry& entry(std::string_view word) {
    if (entries_.empty()) entries_.resize(entries);
    return entries_[hash_of_bytes(word) >> 32 & (entries - 1)];
  }

  static bool matches(const Entry& entry, std::string_view word) {
    return entry.size == word.size() && std::memcmp(entry.word.data(), word.data(), word.size()) == 0;
  }

  static void keep(Entry& entry, std::string_view word, std::span<const TokenId> ids) {
    if (ids.size() > most_ids) return;
    entry.size = static_cast<std::uint8_t>(word.size());
    entry.count = static_cast<std::uint8_t>(ids.size());
    std::memcpy(entry.word.data(), word.data(), word.size());
    std::ranges::copy(ids, entry.ids.begin());
  }

 private:
  std::vector<Entry> entries_;
};
static_assert(sizeof(WordCache::Entry) == 64);

}  // namespace thresher::text
