// A whole safetensors file: what is accepted must tile the data exactly.
#include "base/ram_files.h"
#include "fuzz/refusal.h"
#include "thresher/model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  thresher::tests::RamFiles files;
  files.put("input", std::string(thresher::text_of(data, size)));
  return thresher::refusal_is_fine([&] {
    const thresher::model::SafetensorsFile file(files, "input");
    std::int64_t end = 0;
    for (const auto& tensor : file.tensors()) {
      if (tensor.begin != end || tensor.end < tensor.begin) std::abort();
      end = tensor.end;
      std::string bytes(static_cast<std::size_t>(tensor.end - tensor.begin), '\0');
      file.read(tensor, 0, std::as_writable_bytes(std::span(bytes)));
    }
    if (end > static_cast<std::int64_t>(size)) std::abort();
  });
}
