// GPT-2's byte-level alphabet: every byte as one printable character, U+0021..U+007E, U+00A1..U+00AC, U+00AE..U+00FF as
// they are, the other 68 as U+0100 and up in the order of the bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/utf8.h"

namespace thresher::text {

class ByteAlphabet {
 public:
  static const ByteAlphabet& instance() {
    static const ByteAlphabet alphabet;
    return alphabet;
  }

  char32_t character(unsigned char byte) const { return characters_[byte]; }

  std::optional<unsigned char> byte(char32_t character) const {
    if (character >= bytes_.size() || bytes_[character] < 0) return std::nullopt;
    return static_cast<unsigned char>(bytes_[character]);
  }

  void append(std::string& text, std::string_view bytes) const {
    for (const char byte : bytes) append_utf8(text, characters_[static_cast<unsigned char>(byte)]);
  }

  // The bytes that the characters of `text` stand for; nothing where one of them is outside the alphabet.
  std::optional<std::string> bytes_of(std::string_view text) const {
    std::string bytes;
    for (std::size_t i = 0; i < text.size();) {
      const CodePoint point = decode_at(text.data() + i);
      const auto value = byte(point.code);
      if (!value) return std::nullopt;
      bytes.push_back(static_cast<char>(*value));
      i += point.size;
    }
    return bytes;
  }

 private:
  ByteAlphabet() {
    bytes_.fill(-1);
    char32_t next = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
      characters_[byte] = printable ? byte : next++;
      bytes_[characters_[byte]] = static_cast<std::int16_t>(byte);
    }
  }

  std::array<char32_t, 256> characters_{};
  std::array<std::int16_t, 256 + 68> bytes_{};
};

}  // namespace thresher::text
