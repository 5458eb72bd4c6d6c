// Mutations of JSON by its values, for readers that byte-level changes never get past.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace thresher {

// Every value in `root`, itself included.
inline void collect(nlohmann::ordered_json& root, std::vector<nlohmann::ordered_json*>& values) {
  values.push_back(&root);
  if (root.is_structured())
    for (auto& child : root) collect(child, values);
}

inline void mutate_text(std::string& text) {
  const std::size_t size = text.size();
  text.resize(size + 16);
  text.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(text.data()), size, text.size()));
}

// Changes one value of `root`: another number or text, another place's value, one child more or less.
inline void mutate_json(nlohmann::ordered_json& root, std::minstd_rand& draw) {
  std::vector<nlohmann::ordered_json*> values;
  collect(root, values);
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(draw() % limit); };
  nlohmann::ordered_json& value = *values[below(values.size())];
  constexpr std::int64_t numbers[] = {0, 1, -1, 8, 255, INT32_MAX, INT64_MAX, INT64_MIN, std::int64_t{1} << 42};
  switch (below(5)) {
    case 0:
      value = numbers[below(std::size(numbers))];
      return;
    case 1:
      if (value.is_number_integer()) value = static_cast<std::int64_t>(value.get<std::uint64_t>() + below(9) - 4);
      if (!value.is_string()) return;
      {
        std::string text = value.get<std::string>();
        mutate_text(text);
        value = text;
      }
      return;
    case 2:
      value = nlohmann::ordered_json(*values[below(values.size())]);
      return;
    case 3:
      if (value.is_structured() && !value.empty())
        value.erase(std::next(value.begin(), static_cast<std::ptrdiff_t>(below(value.size()))));
      return;
    default:
      if (value.is_array()) value.push_back(*values[below(values.size())]);
      if (value.is_object())
        value["x" + std::to_string(below(20))] = nlohmann::ordered_json(*values[below(values.size())]);
  }
}

// As bytes, whatever the strings hold.
inline std::string text_of(const nlohmann::ordered_json& root) {
  return root.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace thresher
