#include "thresher/comm/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <numeric>
#include <set>

#include "thresher/base/check.h"

namespace thresher::comm {
namespace {

constexpr int most_ranks = 1 << 20;

[[noreturn]] void fail_layout(std::string_view text, const std::string& why) {
  base::fail(base::Exit::usage, fmt::format("--layout {}: {}; write for example dp=2,pp=2,tp=1", text, why));
}

void check_rules(const Layout& layout, std::string_view text) {
  if (layout.data < 1) fail_layout(text, fmt::format("dp={} is below 1", layout.data));
  if (layout.stages < 1) fail_layout(text, fmt::format("pp={} is below 1", layout.stages));
  if (layout.shards != 1 && layout.shards != 2 && layout.shards != 4 && layout.shards != 8) {
    fail_layout(text, fmt::format("tp={} is not 1, 2, 4 or 8", layout.shards));
  }
  const std::int64_t ranks = std::int64_t{layout.data} * layout.stages;
  if (ranks > most_ranks || ranks * layout.shards > most_ranks) {
    fail_layout(text, fmt::format("more than {} ranks", most_ranks));
  }
}

int parse_axis(std::string_view text, std::string_view axis, std::string_view number) {
  int value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || end != number.data() + number.size()) {
    fail_layout(text, fmt::format("{} needs a number, not '{}'", axis, number));
  }
  return value;
}

// World ranks in the order of (first appearance of their host, rank).
std::vector<int> by_host(std::span<const std::string> hosts) {
  std::map<std::string_view, int> first;
  for (std::size_t r = 0; r < hosts.size(); ++r) first.try_emplace(hosts[r], static_cast<int>(r));
  std::vector<int> order(hosts.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](int r) { return first.at(hosts[static_cast<std::size_t>(r)]); });
  return order;
}

// "3", or "0-3".
std::string range_text(int first, int last) {
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

// Ascending numbers as "0-3,8,10-11".
std::string ranges_text(const std::vector<int>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ",") + range_text(numbers[i], numbers[end - 1]);
    i = end;
  }
  return text;
}

std::string place_text(const Layout& layout, Place place) {
  std::string text = fmt::format("replica {}", place.replica);
  if (layout.stages > 1) text += fmt::format(" stage {}", place.stage);
  if (layout.shards > 1) text += fmt::format(" shard {}", place.shard);
  return text;
}

// The numbers that one axis takes over some ranks.
template <class Axis>
std::string axis_text(const Placement& placement, const std::vector<int>& ranks, Axis axis) {
  std::set<int> numbers;
  for (const int rank : ranks) numbers.insert(placement.places[static_cast<std::size_t>(rank)].*axis);
  return ranges_text({numbers.begin(), numbers.end()});
}

// One line for the ranks of a host: its cores, each once.
std::string host_line(const Placement& placement, const std::string& host, const std::vector<int>& ranks,
                      std::span<const std::string> cores) {
  std::set<std::string> different;
  for (const int rank : ranks) different.insert(cores[static_cast<std::size_t>(rank)]);
  return fmt::format("ranks {} on {} cores {}: replica {} stage {} shard {}\n", ranges_text(ranks), host,
                     fmt::join(different, " "), axis_text(placement, ranks, &Place::replica),
                     axis_text(placement, ranks, &Place::stage), axis_text(placement, ranks, &Place::shard));
}

}  // namespace

std::string Layout::text() const {
  return fmt::format("dp={},pp={},tp={}", data, stages, shards);
}

Layout Layout::parse(std::string_view text) {
  Layout layout;
  std::map<std::string_view, int*> left{{"dp", &layout.data}, {"pp", &layout.stages}, {"tp", &layout.shards}};
  std::size_t start = 0;
  while (start <= text.size()) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    const std::string_view item = text.substr(start, end - start);
    const std::size_t equals = item.find('=');
    if (equals == item.npos) fail_layout(text, fmt::format("'{}' is not an axis and a number", item));
    const std::string_view axis = item.substr(0, equals);
    const auto found = left.find(axis);
    if (found == left.end()) fail_layout(text, fmt::format("'{}' is none of dp, pp, tp, or twice there", axis));
    *found->second = parse_axis(text, axis, item.substr(equals + 1));
    left.erase(found);
    start = end + 1;
  }
  check_rules(layout, text);
  return layout;
}

int Placement::rank_of(Place place) const {
  const auto found = std::ranges::find(places, place);
  if (found == places.end()) {
    base::fail(base::Exit::internal, fmt::format("replica {} stage {} shard {} is not in {}", place.replica,
                                                 place.stage, place.shard, layout.text()));
  }
  return static_cast<int>(found - places.begin());
}

Placement place_ranks(Layout layout, std::span<const std::string> hosts) {
  check_rules(layout, layout.text());
  if (static_cast<std::size_t>(layout.ranks()) != hosts.size()) {
    fail_layout(layout.text(), fmt::format("that is {} ranks, but there are {}", layout.ranks(), hosts.size()));
  }
  Placement placement{layout, std::vector<Place>(hosts.size()), {}, {}};
  const std::vector<int> order = by_host(hosts);
  auto host = [&](int seat) -> const std::string& { return hosts[static_cast<std::size_t>(order[seat])]; };
  const int replica_ranks = layout.stages * layout.shards;
  for (int seat = 0; seat < layout.ranks(); ++seat) {
    const Place place{seat / replica_ranks, seat / layout.shards % layout.stages, seat % layout.shards};
    placement.places[static_cast<std::size_t>(order[seat])] = place;
    // Ranks of one host sit side by side: the two ends of a group tell whether it is split.
    if (place.shard == 0 && host(seat) != host(seat + layout.shards - 1)) placement.split_groups.push_back(place);
    if (seat % replica_ranks == 0 && host(seat) != host(seat + replica_ranks - 1)) {
      placement.split_replicas.push_back(place.replica);
    }
  }
  return placement;
}

std::string map_text(const Placement& placement, std::span<const std::string> hosts,
                     std::span<const std::string> cores) {
  constexpr std::size_t most_lines = 64;
  std::string text;
  if (hosts.size() <= most_lines) {
    for (std::size_t r = 0; r < hosts.size(); ++r) {
      text += fmt::format("rank {} on {} cores {}: {}\n", r, hosts[r], cores[r],
                          place_text(placement.layout, placement.places[r]));
    }
    return text;
  }
  std::vector<std::string> names;
  std::map<std::string, std::vector<int>> ranks;
  for (const int rank : by_host(hosts)) {
    const std::string& host = hosts[static_cast<std::size_t>(rank)];
    if (names.empty() || names.back() != host) names.push_back(host);
    ranks[host].push_back(rank);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i == most_lines - 1 && names.size() > most_lines) {
      text += fmt::format("... {} more hosts ...\n", names.size() - most_lines);
      i = names.size() - 1;
    }
    text += host_line(placement, names[i], ranks[names[i]], cores);
  }
  return text;
}

Grid::Grid(Comm& world, Layout layout, std::span<const std::string> hosts)
    : placement_(place_ranks(layout, hosts)), rank_(world.rank()) {
  const Place own = place();
  tensor_ = world.split(own.replica * layout.stages + own.stage, own.shard);
  replica_ = world.split(own.replica, own.stage * layout.shards + own.shard);
  peers_ = world.split(own.stage * layout.shards + own.shard, own.replica);
}

}  // namespace thresher::comm
