// config.json: what is accepted must be within the limits that everything else relies on.
#include "fuzz/refusal.h"
#include "thresher/model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return thresher::refusal_is_fine([&] {
    const auto config = thresher::model::parse_config(thresher::text_of(data, size), "input");
    const bool sane = config.layers >= 1 && config.hidden >= 1 && config.head_size >= 2 && config.kv_heads >= 1 &&
                      config.query_heads % config.kv_heads == 0 && config.vocabulary >= 1 && config.positions >= 1 &&
                      static_cast<std::int64_t>(config.window.size()) == config.layers;
    if (!sane) std::abort();
  });
}
