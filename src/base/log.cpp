#include "thresher/base/log.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

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

// A lost log line is no reason to stop.
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

void Log::open(int rank, bool echo, std::unique_ptr<AppendFile> file) {
  const std::lock_guard lock(mutex_);
  rank_ = rank;
  echo_ = echo;
  file_ = std::move(file);
}

void Log::write(Level level, std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (echo_ && level != Level::debug) {
    std::string line = "thresher: ";
    if (level != Level::info) line.append(name_of(level)).append(": ");
    write_line(STDERR_FILENO, line.append(text).append("\n"));
  }
  if (!file_) return;
  std::string line = real_clock().utc() + " rank " + std::to_string(rank_) + " ";
  try {
    file_->append(line.append(name_of(level)).append(": ").append(text).append("\n"));
  } catch (const Error&) {
    // As above.
  }
}

Log& log() {
  static Log log;
  return log;
}

}  // namespace thresher::base
