#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "app/bundle.h"
#include "app/commands/child.h"
#include "app/commands/doctor.h"
#include "thresher/comm/probe.h"

namespace thresher::app {
namespace {

constexpr double mpi_patience = 30, program_patience = 6;  // seconds
constexpr std::string_view mark = "thresher-mpi: ";
constexpr int short_wait = 30;  // seconds between signal and kill

// The last line that says something, for messages.
std::string last_line(std::string text) {
  while (!text.empty() && std::string_view("\n\r -").find(text.back()) != std::string_view::npos) text.pop_back();
  return text.substr(text.find_last_of('\n') + 1);
}

// The number behind a name in lines like "KillWait  = 30 sec"; -1 where there is none.
int value_in(const std::string& text, const std::string& name) {
  const std::size_t at = text.find(name), equals = at == std::string::npos ? at : text.find('=', at);
  return equals == std::string::npos ? -1 : std::atoi(text.c_str() + equals + 1);
}

void check_slurm(Findings& findings) {
  const char* const job = std::getenv("SLURM_JOB_ID");
  const ChildEnd list = run_program({"srun", "--mpi=list"}, program_patience);
  if (job == nullptr && !list.good()) {
    findings.ok("slurm", list.code == 127 ? "none here" : "srun is here, but no Slurm answers it");
    return;
  }
  if (job != nullptr) {
    findings.ok("slurm", fmt::format("job {}, {} tasks{}", job, std::max(1, number_of("SLURM_NTASKS")),
                                     std::getenv("SLURM_STEP_ID") != nullptr ? ", started by srun" : ""));
    if (std::getenv("SLURM_STEP_ID") == nullptr && number_of("SLURM_NTASKS") > 1 &&
        number_of("OMPI_COMM_WORLD_SIZE") < 2)
      findings.warn("slurm", fmt::format("the job has {} tasks, this is one process", number_of("SLURM_NTASKS")),
                    "start thresher with srun --mpi=pmix, or with mpirun");
  }
  if (list.output.find("pmix") != std::string::npos) {
    findings.ok("srun", "starts ranks with --mpi=pmix");
  } else {
    findings.warn("srun", "has no --mpi=pmix (see srun --mpi=list)",
                  "start ranks with mpirun: THRESHER_LAUNCHER=mpirun for the scripts in slurm/");
  }
  const int wait = value_in(run_program({"scontrol", "show", "config"}, program_patience).output, "KillWait");
  if (wait < 0) return;
  const std::string text = fmt::format("kills {} s after the signal at the time limit", wait);
  if (wait >= short_wait) return findings.ok("slurm", text);
  findings.warn("slurm", text, "let the signal come earlier: sbatch --signal=B:USR1@180");
}

void check_mpirun(Findings& findings, const std::string& library) {
  if (const int ranks = number_of("OMPI_COMM_WORLD_SIZE"); ranks > 0) {
    const int wait = number_of("OMPI_MCA_odls_base_sigkill_timeout");
    const std::string text = fmt::format("started {} rank{}, kills {} s after it was told to end", ranks,
                                         ranks == 1 ? "" : "s", std::max(1, wait));
    if (wait >= short_wait) return findings.ok("mpirun", text);
    return findings.warn("mpirun", text, "export OMPI_MCA_odls_base_sigkill_timeout=60: ranks commit what is done");
  }
  const ChildEnd version = run_program({"mpirun", "--version"}, program_patience);
  const std::string line = version.output.substr(0, version.output.find('\n'));
  if (!version.good())
    return findings.warn("mpirun", "is not in PATH", "install the MPI that thresher was built with, or use srun");
  const std::size_t number = library.find_last_of('v');
  if (number != std::string::npos && line.find(library.substr(number + 1)) == std::string::npos) {
    return findings.warn("mpirun", fmt::format("says '{}', thresher has {}", line, library),
                         "put the mpirun of the same MPI first in PATH");
  }
  findings.ok("mpirun", line);
}

}  // namespace

int number_of(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

bool is_later_rank() {
  return number_of("OMPI_COMM_WORLD_RANK") > 0 || number_of("SLURM_PROCID") > 0;
}

void check_mpi(Findings& findings) {
  const ChildEnd end = in_child(
      [] {
        use_bundled_mpi();
        const comm::MpiState state = comm::try_mpi();
        std::printf("%s%s\n%sMPI %s, threads %s, %d rank%s\n", mark.data(), state.library.c_str(), mark.data(),
                    state.standard.c_str(), state.threads ? "allowed" : "refused", state.ranks,
                    state.ranks == 1 ? "" : "s");
        return state.threads ? 0 : 1;
      },
      mpi_patience);
  const std::size_t library = end.output.find(mark);
  if (!end.good() || library == std::string::npos) {
    const std::string how =
        end.in_time ? fmt::format("ends with {}", end.code) : fmt::format("hangs for {} s", mpi_patience);
    findings.fail(
        "mpi", fmt::format("starting it {}: {}", how, last_line(end.output)),
        "under srun: use --mpi=pmix; alone: put MPI's programs (orted) in PATH; then try 'mpirun -n 1 hostname'");
    return;
  }
  const std::size_t name = library + mark.size(), second = end.output.find(mark, name);
  const std::string library_name = end.output.substr(name, end.output.find('\n', name) - name);
  const std::size_t rest = second + mark.size();
  findings.ok("mpi", library_name + ", " + end.output.substr(rest, end.output.find('\n', rest) - rest));
  if (!is_later_rank()) check_mpirun(findings, library_name);
}

void check_launchers(Findings& findings) {
  check_slurm(findings);
}

}  // namespace thresher::app
