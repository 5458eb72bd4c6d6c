#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/utf8.h"

namespace thresher::text {

CodePointSet::CodePointSet(std::span<const tables::CodeRange> ranges) : bits_(0x110000 / 64) {
  for (const tables::CodeRange& range : ranges) {
    for (char32_t code = range.first; code <= range.last; ++code) add(code);
  }
}

bool is_word(char32_t code) {
  static const CodePointSet set(tables::word);
  return set.holds(code);
}

bool is_punctuation(char32_t code) {
  static const CodePointSet set(tables::punctuation);
  return set.holds(code);
}

bool is_numeric(char32_t code) {
  static const CodePointSet set(tables::numeric);
  return set.holds(code);
}

bool is_nonspacing_mark(char32_t code) {
  static const CodePointSet set(tables::nonspacing_mark);
  return set.holds(code);
}

bool is_combining_mark(char32_t code) {
  static const CodePointSet set(tables::combining_mark);
  return set.holds(code);
}

bool is_control(char32_t code) {
  static const CodePointSet set(tables::control);
  const bool private_use =
      (code >= 0xE000 && code <= 0xF8FF) || (code >= 0xF0000 && code <= 0xFFFFD) || code >= 0x100000;
  return private_use ? code <= 0x10FFFD : set.holds(code);
}

void append_lower(std::string& text, char32_t code) {
  if (code < 0x80) return text.push_back(static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code));
  if (code == 0x130) return void(text.append("i\u0307"));
  for (const tables::LowerRange& range : tables::lower) {
    if (code < range.first) break;
    if (code <= range.last)
      return append_utf8(text, static_cast<char32_t>(static_cast<std::int32_t>(code) + range.shift));
  }
  append_utf8(text, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
}

}  // namespace thresher::text
