// model.safetensors.index.json: a shard that is accepted is a plain file name.
#include "fuzz/refusal.h"
#include "thresher/model/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return thresher::refusal_is_fine([&] {
    const auto index = thresher::model::parse_shard_index(thresher::text_of(data, size), "input");
    if (index.empty()) std::abort();
    for (const auto& [tensor, shard] : index) {
      const bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
      if (!plain || shard.front() == '.' || !shard.ends_with(".safetensors")) std::abort();
    }
  });
}
