// UTF-8 in text that is known to be valid.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace thresher::text {

struct CodePoint {
  char32_t code;
  std::size_t size;  // bytes, 1..4
};

// The code point that starts at `bytes`, which must point into valid UTF-8.
inline CodePoint decode_at(const char* bytes) {
  const auto at = [bytes](int i) { return static_cast<char32_t>(static_cast<unsigned char>(bytes[i])); };
  const char32_t first = at(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (at(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (at(1) & 0x3F) << 6 | (at(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (at(1) & 0x3F) << 12 | (at(2) & 0x3F) << 6 | (at(3) & 0x3F), 4};
}

inline bool continues_code_point(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

// The code point that ends just before `end`.
inline CodePoint decode_before(const char* end) {
  const char* start = end - 1;
  while (continues_code_point(*start)) --start;
  return decode_at(start);
}

inline void append_utf8(std::string& text, char32_t code) {
  const auto put = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

inline std::string utf8_of(char32_t code) {
  std::string text;
  append_utf8(text, code);
  return text;
}

inline std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (const char byte : text) count += continues_code_point(byte) ? 0 : 1;
  return count;
}

// Length of the valid UTF-8 sequence at the start of `text` (Unicode's table 3-7), 0 where it is malformed;
// `advance` is then the length of the longest prefix of a valid sequence, at least 1.
std::size_t valid_sequence(std::string_view text, std::size_t& advance);

// Offset of the first byte that is not valid UTF-8.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// Malformed sequences replaced by U+FFFD, one for each maximal prefix of a valid sequence (Unicode 3.9, the
// practice that Rust's from_utf8_lossy follows).
std::string replace_invalid_utf8(std::string_view bytes);

}  // namespace thresher::text
