#include "text/trie.h"

#include <fmt/core.h>

#include <algorithm>

#include "thresher/base/check.h"

namespace thresher::text {
namespace {

// Looked through one by one; more are halved.
constexpr std::uint32_t few_children = 12;

}  // namespace

Trie::Trie(std::vector<std::pair<std::string_view, std::uint32_t>> keys) {
  std::ranges::sort(keys);
  struct Open {
    std::uint32_t node;
    std::size_t begin;  // of the keys below it
    std::size_t end;
    std::size_t depth;
  };
  std::vector<Open> open = {{0, 0, keys.size(), 0}};
  nodes_.emplace_back();
  labels_.push_back(0);
  for (std::size_t next = 0; next < open.size(); ++next) {
    auto [node, begin, end, depth] = open[next];
    if (begin < end && keys[begin].first.size() == depth) nodes_[node].value = keys[begin++].second;
    if (nodes_.size() > most_nodes) {
      base::fail(base::Exit::data, fmt::format("the tokens need more than {} nodes of a tree", most_nodes));
    }
    nodes_[node].first = static_cast<std::uint32_t>(nodes_.size());
    while (begin < end) {
      const char label = keys[begin].first[depth];
      std::size_t last = begin;
      while (last < end && keys[last].first[depth] == label) ++last;
      open.push_back({static_cast<std::uint32_t>(nodes_.size()), begin, last, depth + 1});
      nodes_.emplace_back();
      labels_.push_back(static_cast<unsigned char>(label));
      ++nodes_[node].count;
      begin = last;
    }
  }
  for (unsigned label = 0; label < 256; ++label) root_[label] = child(0, static_cast<unsigned char>(label));
}

std::uint32_t Trie::child(std::uint32_t node, unsigned char label) const {
  const Node& parent = nodes_[node];
  const unsigned char* const labels = labels_.data() + parent.first;
  if (parent.count <= few_children) {
    for (std::uint32_t i = 0; i < parent.count; ++i) {
      if (labels[i] == label) return parent.first + i;
    }
    return none;
  }
  const unsigned char* const found = std::lower_bound(labels, labels + parent.count, label);
  if (found == labels + parent.count || *found != label) return none;
  return parent.first + static_cast<std::uint32_t>(found - labels);
}

}  // namespace thresher::text
