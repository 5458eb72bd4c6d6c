#include "thresher/base/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

namespace thresher::base {
namespace {

// The number in a file, or behind a word at the beginning of one of its lines; -1 where there is none.
std::int64_t number_in(const std::string& path, std::string_view word = {}) {
  std::ifstream file(path);
  std::string first;
  std::int64_t number = -1;
  if (word.empty()) return file >> number ? number : -1;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    if (words >> first && first == word && words >> number) return number;
  }
  return -1;
}

// What a control group (v2) still gives: its limit without what is used, but for the files' pages, which go first.
std::int64_t left_in_group(const std::string& group) {
  const std::int64_t limit = number_in(group + "/memory.max"), used = number_in(group + "/memory.current");
  if (limit < 0 || used < 0) return std::numeric_limits<std::int64_t>::max();
  const std::string details = group + "/memory.stat";
  const std::int64_t files = std::max<std::int64_t>(0, number_in(details, "inactive_file")) +
                             std::max<std::int64_t>(0, number_in(details, "active_file"));
  return std::max<std::int64_t>(0, limit - used + files);
}

}  // namespace

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

int quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::stod(quota) / period));
}

std::string core_list() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return "?";
  std::string list;
  for (int first = 0; first < CPU_SETSIZE; ++first) {
    if (!CPU_ISSET(first, &set)) continue;
    int last = first;
    while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set)) ++last;
    list += (list.empty() ? "" : ",") + std::to_string(first) + (last > first ? "-" + std::to_string(last) : "");
    first = last;
  }
  return list;
}

std::int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

std::int64_t available_memory() {
  const std::int64_t kib = number_in("/proc/meminfo", "MemAvailable:");
  std::int64_t least = kib < 0 ? machine_memory() : kib * 1024;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("0::/")) continue;
    // "0::/system.slice/job": the group and all around it.
    for (std::string path = line.substr(3); !path.empty(); path.erase(path.rfind('/')))
      least = std::min(least, left_in_group("/sys/fs/cgroup" + path));
  }
  return std::min(least, left_in_group("/sys/fs/cgroup"));
}

std::int64_t machine_memory() {
  return std::int64_t{sysconf(_SC_PHYS_PAGES)} * std::int64_t{sysconf(_SC_PAGESIZE)};
}

}  // namespace thresher::base
