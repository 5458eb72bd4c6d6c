// What a job says about itself while it runs: RUN_DIR/status.json (data/README.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/base/file.h"
#include "thresher/store/run_count.h"

namespace thresher::schedule {

enum class State : std::uint8_t { starting, loading, scoring, stopping, merging, done, failed, stopped };
// "starting" ...
std::string_view name_of(State state);
// Nothing more will come from the job.
inline bool is_over(State state) {
  return state >= State::done;
}

struct Heartbeat {
  int rank = 0;
  double silence = 0;  // seconds since it was heard
  std::string doing;
};

struct Status {
  State state = State::starting;
  std::string message;                    // why it failed or stopped
  base::Exit exit_code = base::Exit::ok;  // of a job that is over
  std::int64_t documents = 0, documents_done = 0;
  std::int64_t shards = 0, shards_done = 0;
  std::int64_t tokens = 0, rejected = 0, nan = 0;  // of this run alone
  double tokens_per_second = 0;
  std::optional<double> eta;  // seconds
  double seconds = 0;         // since the run began
  int ranks = 1;
  std::string layout;
  std::string host;  // rank zero's, as is the process
  std::int64_t process = 0;
  std::string started, written;  // UTC
  std::int64_t written_at = 0;   // the same in seconds since 1970
  std::vector<Heartbeat> heartbeats;
};

std::string status_json(const Status& status);
// Throws base::Error (data) with the name of the file.
Status parse_status(std::string_view text, const std::string& name);

// A few lines for people.
std::string status_text(const Status& status);

// A run as it looks from any machine that sees its directory.
struct Look {
  std::optional<Status> status;  // none: no job has written one, or it cannot be read
  store::RunCount count;
  bool at_work = false;
  double age = 0;  // seconds since status.json was written, by this machine's clock
  // ok: finished. unavailable: at work. again: not finished, and the same command finishes it. Else what it failed
  // with.
  base::Exit exit() const;
};

// Whether a job that last said something `age` seconds ago lives. `process_gone`: it ran on this host and is not there;
// `lock_free`: nobody holds the directory's lock, asked only where needed. Pure.
template <class LockFree>
bool is_at_work(const Status& status, double age, bool process_gone, const LockFree& lock_free) {
  constexpr double long_silence = 60;  // twelve times the interval of writing
  if (is_over(status.state)) return false;
  return (age < long_silence && !process_gone) || !lock_free();
}

// Throws base::Error (no_input) if there is no run directory.
Look look_at(base::FileSystem& files, const base::Path& directory);
std::string look_text(const Look& look, const std::string& directory);
// The file's fields, and `parts`, `at_work`, `age`.
std::string look_json(const Look& look);

}  // namespace thresher::schedule
