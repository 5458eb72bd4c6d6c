// A regular expression of a tokenizer.json (Oniguruma, Ruby syntax), run by PCRE2's JIT.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace thresher::text {

// What one thread needs to match any pattern.
class MatchMemory {
 public:
  MatchMemory();
  ~MatchMemory();
  MatchMemory(MatchMemory&&) noexcept;
  MatchMemory& operator=(MatchMemory&&) noexcept;

 private:
  friend class Pattern;
  struct State;
  std::unique_ptr<State> state_;
};

class Pattern {
 public:
  struct Span {
    std::size_t begin;
    std::size_t end;
  };

  // Throws base::Error (config) for what is not supported or does not compile; `field` is what messages call it.
  Pattern(std::string_view oniguruma, const std::string& field);
  // Matches exactly `text`.
  static Pattern literal(std::string_view text, const std::string& field);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  // The first match at or after `from` in valid UTF-8. Throws base::Error (data) where the match takes more than
  // match_limit steps or heap_limit bytes.
  std::optional<Span> find(std::string_view text, std::size_t from, MatchMemory& memory) const;

  static constexpr unsigned match_limit = 10'000'000;
  static constexpr unsigned heap_limit_kib = 64 * 1024;

 private:
  struct Compiled;
  struct Translated {
    std::string pcre2;
  };
  Pattern(const Translated& translated, std::string_view shown, const std::string& field);

  std::unique_ptr<Compiled> compiled_;
};

// Calls `take(begin, end, matched)` for contiguous parts that cover `text`: matches and what lies between, as the
// library's iterator finds them (an empty match directly after a match does not count).
template <typename Take>
void for_each_part(const Pattern& pattern, std::string_view text, MatchMemory& memory, Take&& take);

}  // namespace thresher::text

#include "text/utf8.h"

namespace thresher::text {

template <typename Take>
void for_each_part(const Pattern& pattern, std::string_view text, MatchMemory& memory, Take&& take) {
  if (text.empty()) return take(std::size_t{0}, std::size_t{0}, false);
  std::size_t from = 0;
  std::size_t covered = 0;
  std::optional<std::size_t> last_end;
  while (from <= text.size()) {
    const auto match = pattern.find(text, from, memory);
    if (!match) break;
    if (match->begin == match->end && last_end == match->end) {
      from += from < text.size() ? decode_at(text.data() + from).size : 1;
      continue;
    }
    if (covered != match->begin) take(covered, match->begin, false);
    take(match->begin, match->end, true);
    covered = from = match->end;
    last_end = match->end;
  }
  if (covered != text.size()) take(covered, text.size(), false);
}

}  // namespace thresher::text
