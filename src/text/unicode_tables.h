// What Hugging Face `tokenizers` believes about code points, where Debian 12's PCRE2 and utf8proc believe otherwise or
// have no name for it. unicode_tables.cpp is written by tests/reference/make_unicode_tables.py.
#pragma once

#include <span>
#include <string_view>

namespace thresher::text::tables {

// Both ends included; tables are sorted.
struct CodeRange {
  char32_t first;
  char32_t last;
};

// Lower case is the code point plus `shift`.
struct LowerRange {
  char32_t first;
  char32_t last;
  int shift;
};

extern const std::span<const CodeRange> word;
extern const std::span<const CodeRange> punctuation;
extern const std::span<const CodeRange> numeric;
extern const std::span<const CodeRange> nonspacing_mark;
extern const std::span<const CodeRange> combining_mark;
extern const std::span<const CodeRange> control;
extern const std::span<const CodeRange> inert;
extern const std::span<const LowerRange> lower;

// What \p{property} of Oniguruma matches beyond PCRE2's \p{property}; for "word", beyond \p{L}\p{M}\p{Nd}\p{Pc}.
std::span<const CodeRange> pattern_extra(std::string_view property);

}  // namespace thresher::text::tables
