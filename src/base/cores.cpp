#include "thresher/base/cores.h"

#include <fmt/format.h>
#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>
#include <type_traits>

#include "thresher/base/check.h"
#include "thresher/base/machine.h"

namespace thresher::base {
namespace {

using Topology = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, decltype(&hwloc_topology_destroy)>;

Topology new_topology() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) fail(Exit::os, "hwloc could not look at this machine");
  return {topology, hwloc_topology_destroy};
}

Core numbers_in(hwloc_const_bitmap_t set) {
  Core numbers;
  for (int number = hwloc_bitmap_first(set); number >= 0; number = hwloc_bitmap_next(set, number))
    numbers.push_back(number);
  return numbers;
}

// Of a loaded topology; `allowed` as in cores_of_machine.
Cores cores_in(hwloc_topology_t topology, std::span<const int> allowed) {
  const auto may = [&](int number) { return allowed.empty() || std::ranges::find(allowed, number) != allowed.end(); };
  const hwloc_obj_type_t type = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  Cores cores;
  for (hwloc_obj_t one = nullptr; (one = hwloc_get_next_obj_by_type(topology, type, one)) != nullptr;) {
    Core core;
    std::ranges::copy_if(numbers_in(one->cpuset), std::back_inserter(core), may);
    if (!core.empty()) cores.push_back(std::move(core));
  }
  return cores;
}

Core mask_of_thread() {
  cpu_set_t set;
  Core numbers;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return numbers;
  for (int number = 0; number < CPU_SETSIZE; ++number)
    if (CPU_ISSET(number, &set)) numbers.push_back(number);
  return numbers;
}

void bind_thread(const Core& numbers) {
  if (numbers.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int number : numbers)
    if (number < CPU_SETSIZE) CPU_SET(number, &set);
  static_cast<void>(sched_setaffinity(0, sizeof set, &set));
}

bool overlap(const Cores& a, const Cores& b) {
  return std::ranges::any_of(a, [&](const Core& core) {
    return std::ranges::any_of(
        b, [&](const Core& other) { return std::ranges::find_first_of(core, other) != core.end(); });
  });
}

}  // namespace

Cores cores_of_process() {
  const Core mask = mask_of_thread();
  const Topology topology = new_topology();
  Cores cores;
  if (hwloc_topology_load(topology.get()) == 0) cores = cores_in(topology.get(), mask);
  if (cores.empty())
    for (const int number : mask) cores.push_back({number});
  if (cores.empty()) cores.push_back({0});
  return cores;
}

int usable_cores() {
  const auto cores = static_cast<int>(cores_of_process().size());
  const int quota = quota_cores();
  return quota > 0 ? std::min(cores, quota) : cores;
}

Cores cores_of_machine(const std::string& description, std::span<const int> allowed) {
  const Topology topology = new_topology();
  if (hwloc_topology_set_synthetic(topology.get(), description.c_str()) != 0 ||
      hwloc_topology_load(topology.get()) != 0)
    fail(Exit::usage, fmt::format("'{}' describes no machine in hwloc's synthetic syntax", description));
  return cores_in(topology.get(), allowed);
}

std::string text_of(const Cores& cores) {
  std::string text;
  for (const Core& core : cores) text += fmt::format("{}{}", text.empty() ? "" : " ", fmt::join(core, ","));
  return text;
}

Cores cores_from(std::string_view text) {
  Cores cores;
  bool begins = true;
  for (const char *at = text.data(), *end = at + text.size(); at < end; ++at) {
    int number = 0;
    const auto [behind, error] = std::from_chars(at, end, number);
    if (error != std::errc()) fail(Exit::internal, fmt::format("'{}' is no list of cores", text));
    if (begins) cores.emplace_back();
    cores.back().push_back(number);
    begins = behind < end && *behind == ' ';
    at = behind;
  }
  return cores;
}

CoreShare share_of(std::span<const Cores> lists, std::size_t me) {
  const Cores& mine = lists[me];
  std::size_t alike = 0, place = 0, sharing = 0;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (i == me) place = alike;
    if (lists[i] == mine) ++alike;
    if (overlap(lists[i], mine)) ++sharing;
  }
  const auto part = [&](std::size_t index, std::size_t count) {
    const std::size_t first = index * mine.size() / count;
    const std::size_t last = std::max(first + 1, (index + 1) * mine.size() / count);
    return Cores(mine.begin() + static_cast<std::ptrdiff_t>(first), mine.begin() + static_cast<std::ptrdiff_t>(last));
  };
  if (sharing > alike) return {part(0, std::min(sharing, mine.size())), false};
  return {part(place, alike), alike <= mine.size()};
}

void bind_to(const Cores& cores) {
  Core all;
  for (const Core& core : cores) all.insert(all.end(), core.begin(), core.end());
  bind_thread(all);
}

BoundThread::BoundThread(const Core& core) {
  if (core.empty()) return;
  before_ = mask_of_thread();
  bind_thread(core);
}

BoundThread::~BoundThread() {
  bind_thread(before_);
}

}  // namespace thresher::base
