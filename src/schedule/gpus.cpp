#include "schedule/gpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "schedule/agree.h"
#include "thresher/base/check.h"
#include "thresher/device/cuda.h"

namespace thresher::schedule {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0, end = 0; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
  }
  return lines;
}

std::string words_about(const device::Gpu& gpu) {
  return fmt::format("{} {} (sm_{}{}, {:.0f} GiB{})", gpu.name, gpu.uuid, gpu.major, gpu.minor,
                     static_cast<double>(gpu.memory) / (1 << 30),
                     gpu.numa_node < 0 ? "" : fmt::format(", NUMA node {}", gpu.numa_node));
}

}  // namespace

std::vector<int> assign_gpus(std::span<const std::string> hosts, std::span<const std::vector<std::string>> lists,
                             bool share) {
  std::map<std::pair<std::string, std::string>, int> users;  // of a host's GPU
  std::vector<int> places;
  for (std::size_t rank = 0; rank < lists.size(); ++rank) {
    const auto used = [&](const std::string& uuid) -> int& { return users[{hosts[rank], uuid}]; };
    const auto best = std::min_element(lists[rank].begin(), lists[rank].end(),
                                       [&](const auto& a, const auto& b) { return used(a) < used(b); });
    if (best == lists[rank].end())
      base::fail(base::Exit::config, fmt::format("rank {} ({}) sees no GPU", rank, hosts[rank]));
    if (used(*best)++ > 0 && !share)
      base::fail(
          base::Exit::config,
          fmt::format("{} ranks run on {}, and rank {} would be the second one on a GPU ({} can be seen): start "
                      "one rank for each GPU, or let ranks share GPUs with --share-gpus",
                      std::count(hosts.begin(), hosts.end(), hosts[rank]), hosts[rank], rank, lists[rank].size()));
    places.push_back(static_cast<int>(best - lists[rank].begin()));
  }
  return places;
}

std::int64_t least_share(std::span<const std::string> hosts, std::span<const std::string> uuids,
                         std::span<const std::int64_t> memory) {
  std::map<std::pair<std::string, std::string>, std::int64_t> users;
  for (std::size_t rank = 0; rank < uuids.size(); ++rank) ++users[{hosts[rank], uuids[rank]}];
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::size_t rank = 0; rank < uuids.size(); ++rank)
    least = std::min(least, memory[rank] / users[{hosts[rank], uuids[rank]}]);
  return least;
}

TakenGpu take_gpu(comm::Comm& world, std::span<const std::string> hosts, std::span<const std::string> names,
                  bool share) {
  std::vector<device::Gpu> mine;
  agree(world, names, [&] { mine = device::gpus(); });
  std::string uuids;
  for (const device::Gpu& gpu : mine) uuids += gpu.uuid + "\n";
  std::vector<std::vector<std::string>> lists;
  for (const std::string& text : world.all_gather(uuids)) lists.push_back(lines_of(text));
  std::vector<int> places;
  agree(world, names, [&] { places = assign_gpus(hosts, lists, share); });
  TakenGpu taken;
  taken.place = places[static_cast<std::size_t>(world.rank())];
  const device::Gpu& gpu = mine[static_cast<std::size_t>(taken.place)];
  taken.uuids = world.all_gather(gpu.uuid);
  std::vector<std::int64_t> memory;
  for (const std::string& bytes : world.all_gather(std::to_string(gpu.memory))) memory.push_back(std::stoll(bytes));
  taken.memory = least_share(hosts, taken.uuids, memory);
  taken.map = "GPUs";
  const auto words = world.all_gather(words_about(gpu));
  for (std::size_t rank = 0; rank < words.size(); ++rank)
    taken.map += fmt::format("\n  rank {} on {}: {}", rank, hosts[rank], words[rank]);
  for (std::size_t rank = 0; rank < words.size(); ++rank)
    taken.gpus.push_back(fmt::format("{} {}", hosts[rank], taken.uuids[rank]));
  return taken;
}

}  // namespace thresher::schedule
