// Keys in a tree of bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace thresher::text {

// All keys that a text starts with, in order of length.
class Trie {
 public:
  // Keys must be unique and not empty; values are below 2^32 - 1. Throws base::Error (data) where the keys together
  // need more than most_nodes.
  explicit Trie(std::vector<std::pair<std::string_view, std::uint32_t>> keys);

  // Calls take(length, value) for every key that `text` starts with.
  template <typename Take>
  void prefixes(std::string_view text, Take&& take) const {
    std::uint32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      node = i == 0 ? root_[static_cast<unsigned char>(text[0])] : child(node, static_cast<unsigned char>(text[i]));
      if (node == none) return;
      if (nodes_[node].value != none) take(i + 1, nodes_[node].value);
    }
  }

  bool starts_key(unsigned char byte) const { return root_[byte] != none; }

  static constexpr std::size_t most_nodes = std::size_t{1} << 26;

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  struct Node {
    std::uint32_t first = 0;  // children are contiguous, sorted by label
    std::uint32_t count = 0;
    std::uint32_t value = none;
  };

  std::uint32_t child(std::uint32_t node, unsigned char label) const;

  std::vector<Node> nodes_;
  std::vector<unsigned char> labels_;  // of the edge into each node
  std::array<std::uint32_t, 256> root_{};
};

}  // namespace thresher::text
