// Classes of code points as Hugging Face `tokenizers` draws them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/unicode_tables.h"

namespace thresher::text {

// Membership of every code point in one bit.
class CodePointSet {
 public:
  explicit CodePointSet(std::span<const tables::CodeRange> ranges);

  bool holds(char32_t code) const { return bits_[code / 64] >> (code % 64) & 1; }
  void add(char32_t code) { bits_[code / 64] |= std::uint64_t{1} << (code % 64); }

 private:
  std::vector<std::uint64_t> bits_;
};

// Unicode's White_Space.
inline bool is_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_word(char32_t code);         // \w of the regex crate
bool is_punctuation(char32_t code);  // and every ASCII symbol
bool is_numeric(char32_t code);
bool is_nonspacing_mark(char32_t code);  // as BertNormalizer knows them
bool is_combining_mark(char32_t code);   // as StripAccents knows them
bool is_control(char32_t code);          // controls, formats, private use; not tab, line feed, carriage return

// One code point's lower case, appended: Rust's char::to_lowercase.
void append_lower(std::string& text, char32_t code);

}  // namespace thresher::text
