#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "app/commands/doctor.h"
#include "thresher/base/check.h"
#include "thresher/base/cores.h"
#include "thresher/base/machine.h"
#include "thresher/device/device.h"

namespace thresher::app {
namespace {

constexpr std::int64_t little_memory = std::int64_t{2} << 30;
constexpr std::int64_t little_shared = std::int64_t{64} << 20;
constexpr std::int64_t few_files = 1024, few_processes = 1024;
constexpr double busy = 0.5;  // of the cores

std::string limit_text(rlim_t limit, std::int64_t unit = 1) {
  return limit == RLIM_INFINITY ? "unlimited" : std::to_string(static_cast<std::int64_t>(limit) / unit);
}

rlim_t limit_of(decltype(RLIMIT_CORE) what) {
  rlimit limit{};
  return getrlimit(what, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

// Whether this process may run on a core of a list like "0-3,8".
bool may_run_on(const std::string& list) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return true;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    const std::string range = list.substr(at, end - at);
    const int first = std::atoi(range.c_str());
    const std::size_t dash = range.find('-');
    const int last = dash == std::string::npos ? first : std::atoi(range.c_str() + dash + 1);
    for (int core = first; core <= std::min(last, CPU_SETSIZE - 1); ++core)
      if (CPU_ISSET(core, &set)) return true;
    at = end + 1;
  }
  return false;
}

void check_numa(Findings& findings) {
  int nodes = 0, used = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/devices/system/node", error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("node") || name.size() == 4 || name.find_first_not_of("0123456789", 4) != std::string::npos)
      continue;
    std::string cores;
    std::ifstream(entry.path() / "cpulist") >> cores;
    if (cores.empty()) continue;
    ++nodes;
    used += may_run_on(cores);
  }
  if (nodes == 0) return findings.ok("numa", "not known");
  const std::string text = fmt::format("{} node{}, this process runs on {}", nodes, nodes == 1 ? "" : "s", used);
  if (used < 2) return findings.ok("numa", text);
  findings.warn("numa", text,
                fmt::format("one rank a node is faster: mpirun --map-by numa --bind-to numa -n {}", used));
}

void check_limit(Findings& findings, rlim_t limit, std::int64_t least, const char* flag, const std::string& what) {
  if (limit == RLIM_INFINITY || std::cmp_greater_equal(limit, least)) return;
  findings.warn("limits", fmt::format("{}: {}", what, limit_text(limit)),
                fmt::format("ulimit {} {} before starting, or limits.conf", flag, least));
}

void check_shared_memory(Findings& findings) {
  struct statvfs system {};
  if (statvfs("/dev/shm", &system) != 0)
    return findings.warn("shm", "/dev/shm is missing", "mount it as tmpfs, or export OMPI_MCA_btl=self,tcp");
  const auto unit = static_cast<std::int64_t>(system.f_frsize);
  const std::int64_t free = static_cast<std::int64_t>(system.f_bavail) * unit;
  const std::string text = fmt::format("/dev/shm: {} of {} free", bytes_text(free),
                                       bytes_text(static_cast<std::int64_t>(system.f_blocks) * unit));
  if (free > little_shared) return findings.ok("shm", text);
  findings.warn("shm", text,
                "ranks of one machine meet there: docker run --shm-size=1g, or export OMPI_MCA_btl=self,tcp");
}

// The limit of this process's own control group (v2), -1 for none.
std::int64_t group_limit() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::")) continue;
    std::int64_t limit = -1;
    std::ifstream file("/sys/fs/cgroup" + line.substr(3) + "/memory.max");
    return file >> limit ? limit : -1;
  }
  return -1;
}

}  // namespace

void check_processors(Findings& findings) {
  const int cores = base::usable_cores(), ranks = std::max(1, number_of("OMPI_COMM_WORLD_LOCAL_SIZE"));
  try {
    findings.ok("cpu", fmt::format("{}, {} core{} ({}), {} thread{} a rank", device::make_cpu_device({1})->isa(), cores,
                                   cores == 1 ? "" : "s", base::core_list(), std::max(1, cores / ranks),
                                   cores / ranks > 1 ? "s" : ""));
  } catch (const base::Error& error) {
    findings.fail("cpu", error.what(), "use another machine");
  }
  double load[3] = {};
  if (getloadavg(load, 3) == 3 && load[0] > busy * cores)
    findings.warn("load", fmt::format("{:.1f} programs have run on {} cores in the last minute", load[0], cores),
                  "wait for them, or give thresher fewer --threads: shared cores slow every rank down");
  check_numa(findings);
}

void check_memory(Findings& findings) {
  const std::int64_t available = base::available_memory(), group = group_limit();
  std::string text = fmt::format("{} of {} available", bytes_text(available), bytes_text(base::machine_memory()));
  if (group >= 0) text += fmt::format(", the control group's limit is {}", bytes_text(group));
  if (available < little_memory)
    findings.warn("memory", text, "thresher plan says what a run needs: fewer ranks, --layout, a larger allocation");
  else
    findings.ok("memory", text);
  if (const rlim_t limit = limit_of(RLIMIT_AS); limit != RLIM_INFINITY)
    findings.warn("memory", fmt::format("address space is limited to {}", bytes_text(static_cast<std::int64_t>(limit))),
                  "ulimit -v unlimited: files are mapped and GPUs reserve far more than they use");
}

void check_limits(Findings& findings) {
  findings.ok("limits", fmt::format("files {}, processes {}, locked memory {} KiB, core files {}",
                                    limit_text(limit_of(RLIMIT_NOFILE)), limit_text(limit_of(RLIMIT_NPROC)),
                                    limit_text(limit_of(RLIMIT_MEMLOCK), 1024), limit_text(limit_of(RLIMIT_CORE))));
  check_limit(findings, limit_of(RLIMIT_NOFILE), few_files, "-n", "open files");
  check_limit(findings, limit_of(RLIMIT_NPROC), few_processes, "-u", "processes and threads");
  if (const rlim_t limit = limit_of(RLIMIT_FSIZE); limit != RLIM_INFINITY)
    findings.warn("limits", fmt::format("a file may have {} bytes", limit_text(limit)), "ulimit -f unlimited");
  check_shared_memory(findings);
}

void check_locale_and_clock(Findings& findings) {
  // The program itself always uses "C".
  const locale_t locale = newlocale(LC_ALL_MASK, "", nullptr);
  const char* name = nullptr;
  for (const char* variable : {"LANG", "LC_CTYPE", "LC_ALL"})
    if (const char* text = std::getenv(variable); text != nullptr && *text != '\0') name = text;
  if (locale != nullptr) freelocale(locale);
  findings.ok("locale", fmt::format("{}{}; thresher reads and writes UTF-8 and plain numbers whatever it is",
                                    name == nullptr ? "none set" : name, locale == nullptr ? ", not installed" : ""));
  timex state{};
  const int clock = adjtimex(&state);
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  const std::string text =
      fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC{}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                  parts.tm_hour, parts.tm_min, clock == TIME_ERROR ? ", not synchronised" : "");
  if (parts.tm_year + 1900 < 2024)
    findings.warn("clock", text, "set it: time limits and logs depend on it");
  else
    findings.ok("clock", text);
}

}  // namespace thresher::app
