#include "thresher/base/metrics.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstdint>

namespace thresher::base {

std::string Metrics::encode() const {
  std::string text;
  for (const auto& [name, value] : values_) text += fmt::format("{} {:x}\n", name, std::bit_cast<std::uint64_t>(value));
  return text;
}

Metrics Metrics::decode(std::string_view text) {
  Metrics metrics;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::size_t space = line.rfind(' ');
    std::uint64_t bits = 0;
    std::from_chars(line.data() + space + 1, line.data() + line.size(), bits, 16);
    metrics.set(std::string(line.substr(0, space)), std::bit_cast<double>(bits));
    text.remove_prefix(line.size() + 1);
  }
  return metrics;
}

}  // namespace thresher::base
