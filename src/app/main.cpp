// The program: MPI where the command runs on ranks, one place that catches, one exit code.
#include <fcntl.h>
#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "app/bundle.h"
#include "app/help.h"
#include "app/singleton.h"
#include "app/start_limit.h"
#include "thresher/base/clock.h"
#include "thresher/base/log.h"
#include "thresher/base/signals.h"
#include "thresher/comm/ending.h"

namespace thresher::app {
namespace {

using base::Exit;

// How long the other ranks may take to fail in the same way.
constexpr std::chrono::seconds together{5};
// How long MPI_Abort may take to reach other ranks: OpenMPI's launcher thinks for a second.
constexpr std::chrono::seconds turn{3};

// The number of a standard stream that is closed would go to the next file that is opened, and what is printed with it.
void hold_standard_streams() {
  int descriptor = 0;
  do descriptor = ::open("/dev/null", O_RDONLY);
  while (descriptor >= 0 && descriptor <= STDERR_FILENO);
  if (descriptor >= 0) ::close(descriptor);
}

// The value of an environment variable as a number, 0 if there is none.
int number_in_environment(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

// What is the same on all ranks is printed by one.
Exit print(const std::string& text) {
  if (number_in_environment("OMPI_COMM_WORLD_RANK") > 0 || number_in_environment("SLURM_PROCID") > 0) return Exit::ok;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return written ? Exit::ok : Exit::io;
}

// An error as an exit code and a message.
struct Failure {
  Exit code = Exit::ok;
  std::string message;
};

// A job that stopped because it was asked to has not failed.
void print_error(const Failure& failure) {
  const std::string line = (failure.code == Exit::again ? "thresher: " : "thresher: error: ") + failure.message + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// To be called while an exception is handled.
Failure current_failure() {
  const base::Error error = base::current_error();
  if (error.code() != Exit::internal || error.where().empty()) return {error.code(), error.what()};
  return {error.code(), fmt::format("{} (at {})", error.what(), error.where())};
}

// A task of many that srun started without telling them of each other.
void check_step() {
  if (std::getenv("SLURM_STEP_ID") == nullptr) return;
  const int step_tasks = number_in_environment("SLURM_STEP_NUM_TASKS");
  if (const int tasks = step_tasks > 0 ? step_tasks : number_in_environment("SLURM_NTASKS"); tasks > 1) {
    base::fail(Exit::config,
               fmt::format("srun started {} tasks, but each sees only itself: use srun --mpi=pmix (srun --mpi=list "
                           "shows what there is)",
                           tasks));
  }
}

// Before MPI starts, which without any of these ends the process in its own words.
void check_step_before_mpi() {
  if (!started_by_launcher()) check_step();
}

// A process that a launcher started as one of many, but whose MPI sees only itself, would do all the work again; one
// that was started without a launcher would leave most of a Slurm job's tasks idle.
void check_launcher(const Command& command, int ranks) {
  if (ranks > 1) return;
  if (const int tasks = number_in_environment("OMPI_COMM_WORLD_SIZE"); tasks > 1) {
    base::fail(Exit::config,
               fmt::format("mpirun started {} processes, but each sees only itself: mpirun and the MPI library that "
                           "thresher was built with do not match",
                           tasks));
  }
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return;
  if (std::getenv("SLURM_STEP_ID") == nullptr) {
    const int tasks = command.stops ? number_in_environment("SLURM_NTASKS") : 1;
    if (tasks > 1 && std::getenv("SLURM_JOB_ID") != nullptr)
      base::fail(Exit::config,
                 fmt::format("this Slurm job has {} tasks, but thresher was started as one process: start it with srun "
                             "--mpi=pmix, or with srun -n 1 to use one task on purpose",
                             tasks));
    return;
  }
  check_step();
}

// True if the launcher told this process to end before it was its turn.
bool told_to_end(std::chrono::seconds within) {
  const int stops = base::signals_so_far().stops;
  const base::Stopwatch watch;
  while (watch.seconds() < static_cast<double>(within.count())) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (base::signals_so_far().stops > stops) return true;
  }
  return false;
}

// After an error that other ranks may not share, or may not be able to: ends all of them, in words that one rank
// prints, the first of those that can. MPI_Abort reaches the others before it is their turn.
[[noreturn]] void end_all(int rank, const Failure& failure) {
  if (!told_to_end(turn * std::bit_width(static_cast<unsigned>(rank)))) print_error(failure);
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(failure.code));
  std::abort();  // MPI_Abort does not return
}

// Seconds in which all ranks have to have met.
double start_seconds() {
  const char* const text = std::getenv("THRESHER_START_SECONDS");
  return text == nullptr ? 120 : std::atof(text);
}

// Where ranks cannot reach each other MPI waits for ever, and its own ways to end them are not there yet.
void end_alone() {
  const int rank = std::max(number_in_environment("OMPI_COMM_WORLD_RANK"), number_in_environment("SLURM_PROCID"));
  if (!told_to_end(turn * std::bit_width(static_cast<unsigned>(rank))))
    print_error(
        {Exit::unavailable,
         fmt::format("rank {} has waited {:.0f} s for the others to start: their hosts do not reach each other, "
                     "or one stands still. Name the network that connects them in "
                     "OMPI_MCA_btl_tcp_if_include (and OMPI_MCA_oob_tcp_if_include), or give them more time "
                     "in THRESHER_START_SECONDS",
                     rank, start_seconds())});
  _exit(static_cast<int>(Exit::unavailable));
}

Exit run_on_ranks(const Command& command, std::span<const std::string> words) {
  use_bundled_mpi();
  check_step_before_mpi();
  const SingletonSession session;
  std::optional<StartLimit> limit;
  if (started_by_launcher()) limit.emplace(start_seconds(), end_alone);
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  base::log().open(rank, rank == 0);
  Exit code = Exit::ok;
  // Outside the try: freeing them is collective, and has to wait until all ranks are known to leave.
  std::unique_ptr<comm::Comm> comm;
  std::unique_ptr<comm::Mailbox> mailbox;
  try {
    if (provided < MPI_THREAD_SERIALIZED) base::fail(Exit::unavailable, "this MPI library does not allow threads");
    check_launcher(command, ranks);
    Arguments arguments = parse(command, words);
    comm = comm::mpi_comm();
    mailbox = comm::mpi_mailbox();
    comm->barrier();
    limit.reset();
    code = command.run(arguments, {*comm, *mailbox});
  } catch (...) {
    limit.reset();
    const Failure failure = current_failure();
    if (!comm::all_leave(together)) end_all(rank, failure);
    if (rank == 0) print_error(failure);
    code = failure.code;
  }
  mailbox.reset();
  comm.reset();
  MPI_Finalize();
  return code;
}

Exit run_alone(const Command& command, std::span<const std::string> words) {
  Arguments arguments = parse(command, words);
  const auto comm = comm::self_comm();
  const auto mailbox = comm::self_mailbox();
  return command.run(arguments, {*comm, *mailbox});
}

bool asks_for_help(std::span<const std::string> words) {
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

Exit run(std::span<const std::string> words) {
  if (words.empty()) {
    print_error({Exit::usage, "no command given\n" + help("")});
    return Exit::usage;
  }
  const std::string& name = words.front();
  const auto rest = words.subspan(1);
  if (name == "--version") return print(version());
  if (name == "--help" || name == "-h" || name == "help") {
    return print(help(rest.empty() ? "" : rest.front()));
  }
  const Command* const command = find_command(name);
  if (command == nullptr) fail_unknown_command(name);
  if (asks_for_help(rest)) return print(help(name));
  if (command->stops) base::catch_signals();
  return command->parallel ? run_on_ranks(*command, rest) : run_alone(*command, rest);
}

}  // namespace
}  // namespace thresher::app

int main(int argc, char** argv) {
  using namespace thresher;
  // Numbers are read and written the same way everywhere, and a reader that goes away is an error, not a signal.
  std::setlocale(LC_ALL, "C");
  std::signal(SIGPIPE, SIG_IGN);
  app::hold_standard_streams();
  try {
    const std::vector<std::string> words(argv + 1, argv + argc);
    return static_cast<int>(app::run(words));
  } catch (...) {
    const app::Failure failure = app::current_failure();
    if (app::number_in_environment("SLURM_PROCID") == 0) app::print_error(failure);
    return static_cast<int>(failure.code);
  }
}
