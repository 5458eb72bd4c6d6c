#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <system_error>

#include "app/commands/doctor.h"
#include "thresher/base/clock.h"
#include "thresher/base/handle.h"

namespace thresher::app {
namespace {

using Descriptor = base::Handle<int, ::close, -1>;

constexpr std::int64_t little = std::int64_t{1} << 30;  // bytes free
constexpr double slow_sync = 0.25;                      // seconds
constexpr double clock_tolerance = 5;                   // seconds
constexpr std::size_t sync_bytes = 64 << 10;
constexpr std::array<char, sync_bytes> zeros{};

std::string kind_of(std::uint32_t magic) {
  struct Kind {
    std::uint32_t magic;
    const char* name;
  };
  constexpr Kind kinds[] = {
      {0xEF53, "ext"},       {0x58465342, "xfs"},  {0x9123683E, "btrfs"},   {0x01021994, "tmpfs"},
      {0x858458F6, "ramfs"}, {0x6969, "nfs"},      {0x794C7630, "overlay"}, {0x0BD00BD0, "lustre"},
      {0x47504653, "gpfs"},  {0x00C36400, "ceph"}, {0x65735546, "fuse"},    {0x19830326, "beegfs"},
      {0xFF534D42, "cifs"},  {0xFE534D42, "smb2"}, {0x2FC12FC1, "zfs"},     {0x01021997, "9p"}};
  for (const Kind& kind : kinds)
    if (kind.magic == magic) return kind.name;
  return fmt::format("type {:#x}", magic);
}

// A directory in `place` that is gone afterwards.
class Workbench {
 public:
  explicit Workbench(const base::Path& place) {
    std::string name = (place / ".thresher-doctor-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr)
      path_ = name;
    else
      error_ = errno;
  }
  ~Workbench() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Workbench(const Workbench&) = delete;
  Workbench& operator=(const Workbench&) = delete;
  const base::Path& path() const { return path_; }
  int error() const { return error_; }

 private:
  base::Path path_;
  int error_ = 0;
};

Descriptor open_file(const base::Path& path, int flags) {
  return Descriptor(::open(path.c_str(), flags | O_CLOEXEC, 0600));
}

// 0, or errno. Adds what one file and its name take to become durable.
int write_and_sync(const base::Path& path, double& seconds) {
  const base::Stopwatch watch;
  const Descriptor file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file) return errno;
  const ssize_t count = ::write(file.raw(), zeros.data(), zeros.size());
  if (count != static_cast<ssize_t>(zeros.size())) return count < 0 ? errno : ENOSPC;
  if (::fsync(file.raw()) != 0) return errno;
  const Descriptor directory = open_file(path.parent_path(), O_RDONLY | O_DIRECTORY);
  if (!directory || ::fsync(directory.raw()) != 0) return errno;
  seconds = watch.seconds();
  return 0;
}

// A second lock has to be refused.
void try_lock(Findings& findings, const base::Path& path) {
  const Descriptor first = open_file(path, O_RDWR | O_CREAT), second = open_file(path, O_RDWR);
  if (!first || !second || ::flock(first.raw(), LOCK_EX | LOCK_NB) != 0)
    return findings.fail("disk", fmt::format("no locks (flock): {}", std::strerror(errno)),
                         "mount it with locks (nfs: without nolock; lustre: -o flock), or write elsewhere");
  if (::flock(second.raw(), LOCK_EX | LOCK_NB) == 0)
    return findings.fail("disk", "locks (flock) do not hold: two jobs could write one run directory",
                         "mount it with locks (lustre: -o flock), or write elsewhere");
}

void try_names(Findings& findings, const base::Path& from, const base::Path& folder) {
  const base::Path linked = folder / "linked";
  if (::link(from.c_str(), linked.c_str()) != 0) {
    findings.warn("disk", fmt::format("no hard links: {}", std::strerror(errno)),
                  "parts are renamed into place instead: never start two jobs on one run directory");
    double ignored = 0;
    write_and_sync(linked, ignored);
  }
  if (::rename(from.c_str(), linked.c_str()) != 0)
    findings.fail("disk", fmt::format("a file cannot replace another: {}", std::strerror(errno)), "write elsewhere");
}

void try_clock(Findings& findings, const base::Path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return;
  const double apart = std::difftime(std::time(nullptr), status.st_mtime);
  if (std::abs(apart) <= clock_tolerance) return;
  findings.warn("clock", fmt::format("the disk's is {:.0f} s {}", std::abs(apart), apart > 0 ? "behind" : "ahead"),
                "synchronise the clocks of this machine and the file server (chrony, ntp)");
}

void try_everything(Findings& findings, const base::Path& folder, const std::string& what) {
  std::array<double, 5> seconds{};
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    if (const int error = write_and_sync(folder / fmt::format("file-{}", i), seconds[i]); error != 0)
      return findings.fail("disk", fmt::format("{}: writing and syncing fails: {}", what, std::strerror(error)),
                           "free space or quota, or write elsewhere");
  }
  std::ranges::sort(seconds);
  const std::string text = fmt::format("{}, a sync takes {:.1f} ms", what, seconds[2] * 1e3);
  if (seconds[2] > slow_sync)
    findings.warn("disk", text, "use larger shards (--shard-documents), or write elsewhere");
  else
    findings.ok("disk", text);
  try_clock(findings, folder / "file-4");
  try_names(findings, folder / "file-0", folder);
  try_lock(findings, folder / "lock");
}

}  // namespace

void check_disk(Findings& findings, const base::Path& output) {
  std::error_code error;
  base::Path place = std::filesystem::absolute(output, error).lexically_normal();
  if (!place.has_filename() && place.has_relative_path()) place = place.parent_path();
  while (!std::filesystem::exists(place, error) && place.has_relative_path()) place = place.parent_path();
  struct statfs system {};
  if (::statfs(place.c_str(), &system) != 0)
    return findings.fail("disk", fmt::format("{}: {}", place.string(), std::strerror(errno)), "give another --output");
  const std::string kind = kind_of(static_cast<std::uint32_t>(system.f_type));
  const auto free = static_cast<std::int64_t>(system.f_bavail) * static_cast<std::int64_t>(system.f_bsize);
  const std::string what = fmt::format("{}: {}, {} free", place.string(), kind, bytes_text(free));
  const Workbench bench(place);
  if (bench.path().empty()) {
    return findings.fail("disk", fmt::format("{}: nothing can be created: {}", what, std::strerror(bench.error())),
                         "give --output a directory that you may write to");
  }
  try_everything(findings, bench.path(), what);
  if (free < little) findings.warn("disk", "little is free", "make room: thresher plan predicts the output's bytes");
  if (kind == "tmpfs" || kind == "ramfs")
    findings.warn("disk", kind + " lies in memory and is gone with the power", "write runs to a disk");
  if (kind == "overlay")
    findings.warn("disk", "overlay may be a container's own layer and gone with it", "write runs to a mounted volume");
}

}  // namespace thresher::app
