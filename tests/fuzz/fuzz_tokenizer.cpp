// tokenizer.json, and encoding with whatever it describes: ids stay below the vocabulary's size.
#include <vector>

#include "fuzz/refusal.h"
#include "thresher/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return thresher::refusal_is_fine([&] {
    const auto tokenizer = thresher::text::parse_tokenizer(thresher::text_of(data, size), "input");
    std::vector<thresher::text::TokenId> ids;
    tokenizer->encode("Hello, wörld! 数据 <s> 123\n\t", true, ids);
    for (const auto id : ids)
      if (id >= tokenizer->vocabulary_size()) std::abort();
    static_cast<void>(tokenizer->decode(ids, false));
  });
}
