// Decoders: the contents of tokens to readable text.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "text/pattern.h"

namespace thresher::text {

// Each rewrites the list of tokens; the last list is joined. Immutable.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

std::unique_ptr<Decoder> decode_byte_level();
std::unique_ptr<Decoder> decode_byte_fallback();
std::unique_ptr<Decoder> decode_fuse();
std::unique_ptr<Decoder> decode_strip(char32_t content, std::size_t start, std::size_t stop);
std::unique_ptr<Decoder> decode_replace(Pattern pattern, std::string content);
std::unique_ptr<Decoder> decode_metaspace(char32_t replacement, bool prepended);
std::unique_ptr<Decoder> decode_wordpiece(std::string prefix, bool cleanup);
std::unique_ptr<Decoder> decode_bpe(std::string suffix);
std::unique_ptr<Decoder> decode_ctc(std::string pad, std::string delimiter, bool cleanup);

}  // namespace thresher::text
