#include "thresher/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "thresher/base/check.h"
#include "thresher/base/clock.h"

namespace thresher::base {
namespace {

std::string_view name_of(Level level) {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info";
    case Level::warning:
      return "warning";
    case Level::error:
      return "error";
  }
  return "?";
}

// One write call per line keeps lines of several threads and ranks whole; a lost log line is no reason to stop.
void write_line(int descriptor, const std::string& line) {
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void Log::open(int rank, bool echo, const std::string& file) {
  rank_ = rank;
  echo_ = echo;
  if (file.empty()) return;
  descriptor_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor_ < 0) fail_errno(Exit::cannot_create, file, errno);
}

void Log::write(Level level, std::string_view text) {
  if (echo_ && level != Level::debug) {
    std::string line = "thresher: ";
    if (level != Level::info) line.append(name_of(level)).append(": ");
    write_line(STDERR_FILENO, line.append(text).append("\n"));
  }
  if (descriptor_ >= 0) {
    std::string line = real_clock().utc() + " rank " + std::to_string(rank_) + " ";
    write_line(descriptor_, line.append(name_of(level)).append(": ").append(text).append("\n"));
  }
}

Log& log() {
  static Log log;
  return log;
}

}  // namespace thresher::base
