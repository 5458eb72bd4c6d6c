// Any bytes as text, by a tokenizer that takes bytes: ids stay below the vocabulary's size, and decoding gives the text
// back.
#include <vector>

#include "fuzz/refusal.h"
#include "thresher/text/tokenizer.h"

namespace text = thresher::text;

namespace {

// The 256 bytes' characters, as byte-level BPE has them, and a few merges.
std::string byte_level_json() {
  std::string vocabulary, pieces;
  int id = 0, outside = 256;
  const auto add = [&](const std::string& token) {
    vocabulary += (id == 0 ? "" : ",") + ("\"" + token + "\":") + std::to_string(id);
    ++id;
  };
  for (int byte = 0; byte < 256; ++byte) {
    const bool shown = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    constexpr std::string_view digits = "0123456789abcdef";
    const int code = shown ? byte : outside++;
    std::string escaped = "\\u0";
    for (int shift = 8; shift >= 0; shift -= 4) escaped += digits[static_cast<std::size_t>(code >> shift & 15)];
    add(escaped);
  }
  for (const char* token : {"ab", "abc", "th", "the", "\\u0120the"}) add(token);
  return R"({"version":"1.0","added_tokens":[{"id":300,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,)"
         R"("normalized":false,"special":true}],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":)"
         R"(false,"trim_offsets":true,"use_regex":true},"post_processor":null,"decoder":{"type":"ByteLevel",)"
         R"("add_prefix_space":false,"trim_offsets":true,"use_regex":true},"model":{"type":"BPE","vocab":{)" +
         vocabulary + R"(},"merges":["a b","ab c","t h","th e","\u0120 the"]}})";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto tokenizer = text::parse_tokenizer(byte_level_json(), "byte level");
  const std::string_view input = thresher::text_of(data, size);
  return thresher::refusal_is_fine([&] {
    std::vector<text::TokenId> ids;
    tokenizer->encode(input, true, ids);
    for (const auto id : ids)
      if (id >= tokenizer->vocabulary_size()) std::abort();
    if (tokenizer->decode(ids, false) != input) std::abort();
  });
}
