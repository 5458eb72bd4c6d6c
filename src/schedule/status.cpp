#include "thresher/schedule/status.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "schedule/progress.h"
#include "thresher/base/machine.h"

namespace thresher::schedule {
namespace {

constexpr std::int64_t status_limit = 64 << 20;  // bytes; a line for each rank

std::string count_of(std::int64_t count) {
  return count_text(static_cast<double>(count));
}

std::string share_text(std::int64_t done, std::int64_t all) {
  return all > 0 ? fmt::format("{:.1f} %", 100 * static_cast<double>(done) / static_cast<double>(all)) : "";
}

std::string slowest_text(const Status& status) {
  const auto slowest = std::max_element(status.heartbeats.begin(), status.heartbeats.end(),
                                        [](const auto& a, const auto& b) { return a.silence < b.silence; });
  if (slowest == status.heartbeats.end()) return "";
  return fmt::format("the most silent rank: {}, heard {} before: {}\n", slowest->rank, duration_text(slowest->silence),
                     slowest->doing);
}

// The process that wrote the status ran here and is not there any more.
bool process_gone(const Status& status) {
  if (status.host != base::host_name() || status.process <= 0) return false;
  return ::kill(static_cast<pid_t>(status.process), 0) != 0 && errno == ESRCH;
}

// A lock that cannot be looked at tells nothing: then nobody has it.
bool lock_free(base::FileSystem& files, const base::Path& directory) {
  try {
    return files.lock(directory / "lock") != nullptr;
  } catch (const base::Error&) {
    return true;
  }
}

bool cured_by_restart(base::Exit code) {
  switch (code) {
    case base::Exit::internal:
    case base::Exit::os:
    case base::Exit::io:
    case base::Exit::again:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string status_text(const Status& status) {
  std::string text = fmt::format("{}", name_of(status.state));
  if (status.shards > 0)
    text += fmt::format(", {}: {} of {} documents, {} of {} shards",
                        share_text(status.documents_done, status.documents), count_of(status.documents_done),
                        count_of(status.documents), count_of(status.shards_done), count_of(status.shards));
  text += fmt::format("\nthis run: {}, {} tokens at {} tokens/s", duration_text(status.seconds),
                      count_of(status.tokens), count_text(status.tokens_per_second));
  if (status.eta) text += fmt::format(", ETA {}", duration_text(*status.eta));
  if (status.rejected > 0 || status.nan > 0)
    text += fmt::format("; {} rejected, {} nan", count_of(status.rejected), count_of(status.nan));
  text +=
      fmt::format("\n{} rank{}{}, rank 0 on {}, process {}, since {}\n", status.ranks, status.ranks == 1 ? "" : "s",
                  status.layout.empty() ? "" : " (" + status.layout + ")", status.host, status.process, status.started);
  if (!is_over(status.state) && status.ranks > 1) text += slowest_text(status);
  if (!status.message.empty()) text += status.message + "\n";
  return text;
}

base::Exit Look::exit() const {
  if (at_work) return base::Exit::unavailable;
  if (count.finished) return base::Exit::ok;
  const bool failed = status && status->state == State::failed && !cured_by_restart(status->exit_code);
  return failed ? status->exit_code : base::Exit::again;
}

Look look_at(base::FileSystem& files, const base::Path& directory) {
  Look look;
  look.count = store::count_run(files, directory);
  const base::Path path = directory / "status.json";
  if (files.entry(path) != base::Entry::file) return look;
  try {
    look.status = parse_status(base::read_all(files, path, status_limit, base::Links::refuse), path.string());
  } catch (const base::Error& error) {
    if (error.code() != base::Exit::data) throw;
    return look;  // cut off by a machine that died: the parts tell enough
  }
  look.age = static_cast<double>(std::max<std::int64_t>(0, std::time(nullptr) - look.status->written_at));
  look.at_work =
      is_at_work(*look.status, look.age, process_gone(*look.status), [&] { return lock_free(files, directory); });
  return look;
}

std::string look_text(const Look& look, const std::string& directory) {
  std::string text = directory + ": ";
  if (look.at_work)
    text += "at work, " + status_text(*look.status) + fmt::format("written {} ago\n", duration_text(look.age));
  else if (look.count.finished)
    text += fmt::format("finished, {} documents\n", count_of(look.count.documents));
  else if (!look.status)
    text += "not finished, and nothing is at work\n";
  else if (is_over(look.status->state))
    text += status_text(*look.status);
  else
    text += fmt::format("died while {}, {} ago\n", name_of(look.status->state), duration_text(look.age)) +
            status_text(*look.status);
  if (look.count.finished || !look.count.planned) return text;
  text += fmt::format("{} of {} parts are committed, {} of {} documents ({})\n", count_of(look.count.parts),
                      count_of(look.count.shards), count_of(look.count.documents_done), count_of(look.count.documents),
                      share_text(look.count.documents_done, look.count.documents));
  if (look.exit() == base::Exit::again) text += "Give the same score command again to go on.\n";
  return text;
}

}  // namespace thresher::schedule
