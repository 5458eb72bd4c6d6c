// A safetensors file by its header's values; the length before it and the size of the data stay what they say, but for
// one time in eight.
#include <algorithm>
#include <cstring>

#include "fuzz/json_mutator.h"

namespace {

constexpr std::size_t prefix = 8;

// The greatest end of a tensor that could stand in a small file.
std::size_t data_size(const nlohmann::ordered_json& header) {
  std::size_t end = 0;
  if (!header.is_object()) return end;
  for (const auto& tensor : header) {
    const auto offsets = tensor.is_object() ? tensor.find("data_offsets") : tensor.end();
    if (!tensor.is_object() || offsets == tensor.end() || !offsets->is_array() || offsets->size() < 2) continue;
    const auto& last = (*offsets)[1];
    if (last.is_number_integer() && last.get<std::int64_t>() > 0 && last.get<std::int64_t>() < 4096)
      end = std::max(end, last.get<std::size_t>());
  }
  return end;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  std::uint64_t length = 0;
  if (size >= prefix) std::memcpy(&length, data, prefix);
  if (size < prefix || length > size - prefix || seed % 8 == 0) return LLVMFuzzerMutate(data, size, most);
  auto header = nlohmann::ordered_json::parse(data + prefix, data + prefix + length, nullptr, false);
  if (header.is_discarded()) return LLVMFuzzerMutate(data, size, most);
  std::minstd_rand draw(seed);
  thresher::mutate_json(header, draw);
  const std::string text = thresher::text_of(header);
  const std::size_t whole = prefix + text.size() + data_size(header);
  if (whole > most) return LLVMFuzzerMutate(data, size, most);
  length = text.size();
  std::memcpy(data, &length, prefix);
  std::memcpy(data + prefix, text.data(), text.size());
  std::memset(data + prefix + text.size(), 0, whole - prefix - text.size());
  return whole;
}
