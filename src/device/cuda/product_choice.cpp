#include "device/cuda/product_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <vector>

namespace thresher::device::cuda {
namespace {

constexpr std::int64_t greatest_extent = std::int64_t{1} << 31;
constexpr std::int64_t greatest_workspace = std::int64_t{1} << 32;
constexpr std::string_view number_names[] = {"f32", "bf16"};
constexpr std::string_view epilogue_names[] = {"none", "bias", "accumulate"};

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

template <class T>
bool read(std::string_view word, T& value, int base) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  return error == std::errc() && end == word.data() + word.size();
}

bool read_within(std::string_view word, std::int64_t& value, std::int64_t first, std::int64_t last) {
  return read(word, value, 10) && value >= first && value <= last;
}

template <class T>
bool read_name(std::string_view word, std::span<const std::string_view> names, T& value) {
  const auto found = std::ranges::find(names, word);
  value = static_cast<T>(found - names.begin());
  return found != names.end();
}

}  // namespace

std::string text_of(const ProductKey& key) {
  return fmt::format("{} {} {} {} {}", key.outputs, key.inputs, number_names[static_cast<int>(key.in)],
                     number_names[static_cast<int>(key.out)], epilogue_names[static_cast<int>(key.epilogue)]);
}

std::string text_of(const Choice& choice) {
  std::string text = fmt::format("{} {}", choice.workspace, choice.slabs ? 1 : 0);
  for (const std::uint64_t word : choice.algorithm) text += fmt::format(" {:x}", word);
  return text;
}

std::optional<ProductKey> read_product_key(std::string_view text) {
  const auto words = words_of(text);
  ProductKey key;
  if (words.size() == 5 && read_within(words[0], key.outputs, 1, greatest_extent) &&
      read_within(words[1], key.inputs, 1, greatest_extent) && read_name(words[2], number_names, key.in) &&
      read_name(words[3], number_names, key.out) && read_name(words[4], epilogue_names, key.epilogue))
    return key;
  return std::nullopt;
}

std::optional<Choice> read_product_choice(std::string_view text) {
  const auto words = words_of(text);
  Choice choice;
  std::int64_t slabs = 0;
  if (words.size() != 2 + choice.algorithm.size() || !read_within(words[0], choice.workspace, 0, greatest_workspace) ||
      !read_within(words[1], slabs, 0, 1))
    return std::nullopt;
  choice.slabs = slabs == 1;
  for (std::size_t i = 0; i < choice.algorithm.size(); ++i)
    if (!read(words[2 + i], choice.algorithm[i], 16)) return std::nullopt;
  return choice;
}

}  // namespace thresher::device::cuda
