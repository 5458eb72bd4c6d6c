#include "text/utf8.h"

#include <cstdint>
#include <cstring>

namespace thresher::text {

std::size_t valid_sequence(std::string_view text, std::size_t& advance) {
  const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  advance = 1;
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const std::size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  for (std::size_t i = 1; i < size; ++i) {
    if (i >= text.size() || at(i) < low || at(i) > high) return 0;
    low = 0x80;
    high = 0xBF;
    ++advance;
  }
  return size;
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  constexpr std::uint64_t high_bits = 0x8080808080808080ULL;
  std::size_t position = 0;
  while (position < text.size()) {
    if (text.size() - position >= 8) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, text.data() + position, 8);
      if ((eight & high_bits) == 0) {
        position += 8;
        continue;
      }
    }
    std::size_t advance = 0;
    const std::size_t size = valid_sequence(text.substr(position), advance);
    if (size == 0) return position;
    position += size;
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  std::size_t position = 0;
  while (position < bytes.size()) {
    std::size_t advance = 0;
    const std::size_t size = valid_sequence(bytes.substr(position), advance);
    if (size > 0) {
      text.append(bytes, position, size);
    } else {
      text.append("\xEF\xBF\xBD");
    }
    position += advance;
  }
  return text;
}

}  // namespace thresher::text
