#include "schedule/slurm.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <thread>

#include "thresher/base/clock.h"
#include "thresher/base/duration.h"
#include "thresher/base/log.h"

extern char** environ;

namespace thresher::schedule {
namespace {

constexpr double patience = 10;  // seconds for squeue
constexpr std::size_t longest_answer = 4096;
constexpr double most_spare = 30;  // seconds left to the script that started the job
constexpr double spare_share = 0.1;

// What is there to be read until the end, until it is more than squeue ever says, or until `watch` shows `patience`.
std::string read_patiently(int descriptor, const base::Stopwatch& watch) {
  std::string text;
  while (text.size() < longest_answer) {
    const double left = patience - watch.seconds();
    if (left <= 0) break;
    pollfd look{descriptor, POLLIN, 0};
    if (::poll(&look, 1, static_cast<int>(left * 1000) + 1) <= 0) continue;
    char bytes[256];
    const ssize_t count = ::read(descriptor, bytes, sizeof bytes);
    if (count <= 0) break;
    text.append(bytes, static_cast<std::size_t>(count));
  }
  return text;
}

// Its exit status; a program that goes on is killed, with all that it started.
int wait_patiently(pid_t child, const base::Stopwatch& watch) {
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(child, &status, WNOHANG)) == 0 && watch.seconds() < patience)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (ended == child) return status;
  ::kill(-child, SIGKILL);
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// Standard output of a program; nothing if it cannot be run, fails or takes too long.
std::optional<std::string> output_of(const char* const* words) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t own_group;
  posix_spawnattr_init(&own_group);
  posix_spawnattr_setflags(&own_group, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  const base::Stopwatch watch;
  const int failed = ::posix_spawnp(&child, words[0], &actions, &own_group, const_cast<char* const*>(words), environ);
  posix_spawnattr_destroy(&own_group);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string text;
  if (failed == 0) text = read_patiently(ends[0], watch);
  ::close(ends[0]);
  if (failed != 0) return std::nullopt;
  const int status = wait_patiently(child, watch);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? std::optional(text) : std::nullopt;
}

std::optional<double> time_from_environment() {
  const char* const text = std::getenv("SLURM_JOB_END_TIME");
  if (text == nullptr) return std::nullopt;
  const std::string_view digits = text;
  std::int64_t end = 0;
  const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), end);
  if (error != std::errc() || last != digits.data() + digits.size()) return std::nullopt;
  // The variable stays as it was when somebody gives the job more time.
  const double left = static_cast<double>(end) - static_cast<double>(std::time(nullptr));
  return left > 0 ? std::optional(left) : std::nullopt;
}

// "1-02:03:04", "5:00"; "UNLIMITED" and the like are no time.
std::optional<double> time_from_squeue(const char* job) {
  const char* const words[] = {"squeue", "-h", "-j", job, "-o", "%L", nullptr};
  const auto output = output_of(words);
  if (!output) {
    base::warn("squeue does not tell how much time is left to this job: give --max-time to be stopped in time");
    return std::nullopt;
  }
  return base::parse_duration(std::string_view(*output).substr(0, output->find_last_not_of(" \n") + 1));
}

}  // namespace

std::optional<double> slurm_time_left() {
  const char* const job = std::getenv("SLURM_JOB_ID");
  if (job == nullptr) return std::nullopt;
  auto left = time_from_environment();
  if (!left) left = time_from_squeue(job);
  if (!left) return std::nullopt;
  return std::max(0.0, *left - std::min(most_spare, spare_share * *left));
}

}  // namespace thresher::schedule
