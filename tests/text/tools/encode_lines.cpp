// Encodes texts for comparison with another tokenizer:
//   encode_lines TOKENIZER_JSON < texts > ids
// A text on stdin is its length in bytes (decimal), a line feed, the bytes. For each, a line of ids (special tokens
// included), a line of the text decoded from them with special tokens, and one without; text lines are escaped as \xHH.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/text/tokenizer.h"

namespace {

void put_escaped(const std::string& text) {
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    if (value >= 0x20 && value < 0x7F && value != '\\') {
      std::putchar(byte);
    } else {
      std::printf("\\x%02x", value);
    }
  }
  std::putchar('\n');
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 64;
  try {
    const auto tokenizer = thresher::text::load_tokenizer(arguments[1]);
    std::vector<thresher::text::TokenId> ids;
    for (std::string length; std::getline(std::cin, length);) {
      std::string text(std::strtoull(length.c_str(), nullptr, 10), '\0');
      std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
      ids.clear();
      try {
        tokenizer->encode(text, true, ids);
        for (const auto id : ids) std::printf("%u ", id);
        std::putchar('\n');
        put_escaped(tokenizer->decode(ids, false));
        put_escaped(tokenizer->decode(ids, true));
      } catch (const thresher::base::Error& error) {
        std::printf("error %s\n\n\n", error.what());
      }
    }
  } catch (const thresher::base::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
