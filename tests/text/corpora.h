// The texts and digests that tests/reference/make_tokenizers.py makes as well.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "text/utf8.h"
#include "thresher/base/hash.h"
#include "thresher/text/tokenizer.h"

namespace thresher::text {

inline const std::filesystem::path data_folder = std::filesystem::path(THRESHER_SOURCE_DIR) / "tests/text/data";
inline const std::filesystem::path shared_folder = std::filesystem::path(THRESHER_SHARED_DIR) / "data";

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  return nlohmann::json::parse(read_text(path));
}

inline bool is_surrogate(char32_t code) {
  return code >= 0xD800 && code < 0xE000;
}

// Runs of neighbouring code points from many scripts, with spaces between.
inline std::vector<std::string> mixed_texts() {
  static constexpr std::array<std::array<std::uint64_t, 2>, 20> ranges = {
      {{0x20, 0x7E},     {0x61, 0x7A},     {0x61, 0x7A},       {0x30, 0x39},       {0xA0, 0x24F},
       {0x300, 0x36F},   {0x370, 0x52F},   {0x590, 0x6FF},     {0x900, 0xDFF},     {0xE00, 0xEFF},
       {0x1000, 0x11FF}, {0x1E00, 0x206F}, {0x2100, 0x27BF},   {0x3000, 0x30FF},   {0x4E00, 0x9FFF},
       {0xAC00, 0xD7A3}, {0xF900, 0xFFEF}, {0x1F300, 0x1FAFF}, {0x20000, 0x2A6DF}, {0, 0x10FFFF}}};
  std::uint64_t state = 88172645463325252;
  std::vector<std::string> texts(2000);
  for (std::string& text : texts) {
    for (std::size_t characters = 0; characters < 100;) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      const auto [low, high] = ranges[state % ranges.size()];
      for (std::uint64_t step = 0; step < 1 + (state >> 8) % 6; ++step) {
        const auto code = static_cast<char32_t>(low + ((state >> 16) + step * 7) % (high - low + 1));
        if (is_surrogate(code)) continue;
        append_utf8(text, code);
        ++characters;
      }
      if ((state >> 40) % 3 == 0) {
        text += ' ';
        ++characters;
      }
    }
  }
  return texts;
}

// Every code point behind an "a", 256 in a text.
inline std::vector<std::string> every_code_point() {
  std::vector<std::string> texts;
  std::size_t count = 0;
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (is_surrogate(code)) continue;
    if (count++ % 256 == 0) texts.emplace_back();
    texts.back() += 'a';
    append_utf8(texts.back(), code);
    texts.back() += ' ';
  }
  return texts;
}

inline void append_number(std::string& bytes, std::uint32_t number) {
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(number >> shift & 0xFF));
}

// XXH3-128 of every text's number of ids and ids (32 bits, little endian), and with `decode` its decoded text.
inline std::string digest(const Tokenizer& tokenizer, std::span<const std::string> texts, bool decode) {
  std::string bytes;
  std::vector<TokenId> ids;
  for (const std::string& text : texts) {
    ids.clear();
    tokenizer.encode(text, true, ids);
    append_number(bytes, static_cast<std::uint32_t>(ids.size()));
    for (const TokenId id : ids) append_number(bytes, id);
    if (decode && !ids.empty()) bytes += tokenizer.decode(ids, false) + tokenizer.decode(ids, true);
  }
  return base::digest_of(bytes).hex();
}

}  // namespace thresher::text
