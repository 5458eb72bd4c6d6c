#include "device/cuda/algorithms.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <vector>

#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

constexpr std::string_view title = "thresher cuda algorithms 1: ";
constexpr std::int64_t greatest_extent = std::int64_t{1} << 31;
constexpr std::int64_t greatest_workspace = std::int64_t{1} << 32;

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

bool within(std::int64_t value, std::int64_t first, std::int64_t last) {
  return value >= first && value <= last;
}

// "outputs inputs in out epilogue workspace slabs" and the eight words of the algorithm.
std::optional<std::pair<ProductKey, Choice>> entry_of(std::string_view line) {
  const auto words = words_of(line);
  std::array<std::int64_t, 7> numbers{};
  Choice choice;
  if (words.size() != numbers.size() + choice.algorithm.size()) return std::nullopt;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool right =
        i < numbers.size() ? read(words[i], numbers[i], 10) : read(words[i], choice.algorithm[i - numbers.size()], 16);
    if (!right) return std::nullopt;
  }
  const auto [outputs, inputs, in, out, epilogue, workspace, slabs] = numbers;
  if (!within(outputs, 1, greatest_extent) || !within(inputs, 1, greatest_extent) || !within(in, 0, 1) ||
      !within(out, 0, 1) || !within(epilogue, 0, 2) || !within(workspace, 0, greatest_workspace) ||
      !within(slabs, 0, 1))
    return std::nullopt;
  choice.workspace = workspace;
  choice.slabs = slabs == 1;
  return std::pair{ProductKey{.outputs = outputs,
                              .inputs = inputs,
                              .in = static_cast<Number>(in),
                              .out = static_cast<Number>(out),
                              .epilogue = static_cast<Epilogue>(epilogue)},
                   choice};
}

}  // namespace

const Choice* Algorithms::find(const ProductKey& key) const {
  const auto found = choices_.find(key);
  return found == choices_.end() ? nullptr : &found->second;
}

std::string Algorithms::text() const {
  std::string text = fmt::format("{}{}\n", title, machine_);
  for (const auto& [key, choice] : choices_) {
    text +=
        fmt::format("{} {} {} {} {} {} {}", key.outputs, key.inputs, static_cast<int>(key.in),
                    static_cast<int>(key.out), static_cast<int>(key.epilogue), choice.workspace, choice.slabs ? 1 : 0);
    for (const std::uint64_t word : choice.algorithm) text += fmt::format(" {:x}", word);
    text += '\n';
  }
  return text;
}

bool Algorithms::merge(std::string_view text) {
  const auto damaged = [](std::int64_t number, std::string_view line) {
    base::fail(base::Exit::data,
               fmt::format("line {} of the CUDA algorithms is damaged: \"{}\"", number, line.substr(0, 200)));
  };
  std::map<ProductKey, Choice> read = choices_;
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (end == std::string_view::npos) damaged(number, line);  // cut off
    text.remove_prefix(end + 1);
    if (number == 1) {
      if (!line.starts_with(title)) damaged(number, line);
      if (line.substr(title.size()) != machine_) return false;
    } else if (const auto entry = entry_of(line)) {
      read[entry->first] = entry->second;
    } else {
      damaged(number, line);
    }
  }
  choices_ = std::move(read);
  return true;
}

}  // namespace thresher::device::cuda
