#include "schedule/places.h"

#include <fmt/format.h>

#include "thresher/base/check.h"

namespace thresher::schedule {

std::vector<std::string> rank_names(std::span<const std::string> hosts, const comm::Grid* grid) {
  std::vector<std::string> names;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
    names.push_back(fmt::format("rank {} ({}", rank, hosts[rank]));
    if (grid) {
      const comm::Place& place = grid->placement().places[rank];
      names.back() += fmt::format(", replica {}, stage {}, shard {}", place.replica, place.stage, place.shard);
    }
    names.back() += ")";
  }
  return names;
}

void expect_same_bits(std::span<const std::string> identities, std::span<const std::string> hosts) {
  for (std::size_t rank = 0; rank < identities.size(); ++rank)
    for (std::size_t at = 0, end = 0; at < identities[rank].size(); at = end + 1) {
      end = identities[rank].find('\n', at);
      const std::string line = identities[rank].substr(at, end + 1 - at);
      if (("\n" + identities.front()).find("\n" + line) == std::string::npos)
        base::fail(
            base::Exit::config,
            fmt::format(
                "rank {} ({}) would compute other bits than rank 0 ({}): {}against\n{}{}", rank, hosts[rank],
                hosts.front(), line, identities.front(),
                line.starts_with("isa avx")
                    ? "ONEDNN_MAX_CPU_ISA, as AVX2 or AVX512_CORE_BF16, limits all ranks to the same instructions"
                    : ""));
    }
}

}  // namespace thresher::schedule
