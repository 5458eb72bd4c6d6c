#include "thresher/engine/pack.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace thresher::engine {

std::vector<PackedGroup> pack(std::span<const std::int32_t> lengths, std::int64_t budget) {
  std::vector<std::int32_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return lengths[a] > lengths[b]; });

  std::vector<PackedGroup> groups;
  std::multimap<std::int64_t, std::size_t> room;  // tokens left -> group
  for (std::int32_t index : order) {
    const std::int64_t length = lengths[index];
    const auto fit = room.lower_bound(length);
    const std::size_t group = fit == room.end() ? groups.size() : fit->second;
    if (fit == room.end())
      groups.emplace_back();
    else
      room.erase(fit);
    groups[group].members.push_back(index);
    groups[group].tokens += length;
    if (groups[group].tokens < budget) room.emplace(budget - groups[group].tokens, group);
  }
  std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.tokens > b.tokens; });
  return groups;
}

}  // namespace thresher::engine
