// tokenizer.json by its values, or by its bytes where it is none.
#include <cstring>

#include "fuzz/json_mutator.h"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  auto root = nlohmann::ordered_json::parse(data, data + size, nullptr, false);
  if (root.is_discarded() || seed % 8 == 0) return LLVMFuzzerMutate(data, size, most);
  std::minstd_rand draw(seed);
  for (unsigned times = seed % 3 + 1; times > 0; --times) thresher::mutate_json(root, draw);
  const std::string text = thresher::text_of(root);
  if (text.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, text.data(), text.size());
  return text.size();
}
