// What `thresher doctor` looks at, a file for each kind.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "thresher/base/file.h"

namespace thresher::app {

enum class Health : std::uint8_t { ok, warn, fail };

struct Finding {
  Health health = Health::ok;
  std::string topic;   // "disk"
  std::string text;    // what there is
  std::string advice;  // what to do about it; empty for ok
};

class Findings {
 public:
  void ok(std::string topic, std::string text) { all_.push_back({Health::ok, std::move(topic), std::move(text), {}}); }
  void warn(std::string topic, std::string text, std::string advice) {
    all_.push_back({Health::warn, std::move(topic), std::move(text), std::move(advice)});
  }
  void fail(std::string topic, std::string text, std::string advice) {
    all_.push_back({Health::fail, std::move(topic), std::move(text), std::move(advice)});
  }
  const std::vector<Finding>& all() const { return all_; }

 private:
  std::vector<Finding> all_;
};

// True if this process is not the first that its launcher started.
bool is_later_rank();
// MPI, tried in a child process. Collective over the launcher's processes.
void check_mpi(Findings& findings);
// What started this process and how it would end it; Slurm.
void check_launchers(Findings& findings);
// GPU and its libraries, tried in a child process.
void check_gpus(Findings& findings);
void check_processors(Findings& findings);
void check_memory(Findings& findings);
void check_limits(Findings& findings);
void check_locale_and_clock(Findings& findings);
// The file system of `output`, which need not exist yet: writes, syncs, links, locks and renames in a directory of its
// own, which it removes.
void check_disk(Findings& findings, const base::Path& output);
void check_model(Findings& findings, const base::Path& model);

// "12.3 GiB".
std::string bytes_text(std::int64_t bytes);
// An environment variable as a number, 0 if there is none.
int number_of(const char* name);

}  // namespace thresher::app
