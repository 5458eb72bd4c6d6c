// What people read while a job runs: one line each, to standard error, and to a file per rank.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "thresher/base/file.h"

namespace thresher::base {

enum class Level { debug, info, warning, error };

// Lines go to standard error when this rank is `echo`, and to `file` when one is set. Thread-safe; a
// closed standard error or a full disk never throws and never ends the job.
class Log {
 public:
  // `rank` is printed in front of every line in the file.
  void open(int rank, bool echo, std::unique_ptr<AppendFile> file = nullptr);
  void write(Level level, std::string_view text);

 private:
  std::mutex mutex_;
  int rank_ = 0;
  bool echo_ = true;
  std::unique_ptr<AppendFile> file_;
};

Log& log();

inline void info(std::string_view text) {
  log().write(Level::info, text);
}
inline void warn(std::string_view text) {
  log().write(Level::warning, text);
}

}  // namespace thresher::base
