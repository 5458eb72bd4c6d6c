// A safetensors header against a file of some size: what is accepted must tile the data exactly.
#include "fuzz/refusal.h"
#include "thresher/model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::int64_t data_bytes = data[0] * 256 + data[1];
  const std::string_view header = thresher::text_of(data + 2, size - 2);
  return thresher::refusal_is_fine([&] {
    std::int64_t end = 0;
    for (const auto& tensor : thresher::model::parse_safetensors_header(header, data_bytes, "input")) {
      if (tensor.begin != end || tensor.end < tensor.begin) std::abort();
      end = tensor.end;
    }
    if (end != data_bytes) std::abort();
  });
}
