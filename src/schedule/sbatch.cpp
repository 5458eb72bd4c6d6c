#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "thresher/schedule/plan_report.h"

namespace thresher::schedule {
namespace {

// Twice what is expected and a quarter of an hour; a job that is stopped continues when it is submitted again.
std::string time_limit(double seconds) {
  const auto minutes = static_cast<std::int64_t>(std::ceil((2 * seconds) / 60)) + 15;
  return fmt::format("{}:{:02}:00", minutes / 60, minutes % 60);
}

}  // namespace

std::string sbatch_script(const PlanReport& report, const std::string& command) {
  const Cost& cost = report.candidates.front().cost;
  const Machine& machine = report.machine;
  constexpr double mib = 1024.0 * 1024;
  std::string text = "#!/bin/bash\n#SBATCH --job-name=thresher\n";
  text += fmt::format("#SBATCH --nodes={}\n#SBATCH --ntasks={}\n#SBATCH --ntasks-per-node={}\n", cost.nodes,
                      report.ranks, cost.ranks_per_node);
  text += fmt::format("#SBATCH --cpus-per-task={}\n", std::max(1, machine.cores / cost.ranks_per_node));
  if (machine.shared_cores()) {
    const auto need = static_cast<std::int64_t>(std::ceil(1.1 * cost.node_memory / mib)) + 512;
    text += fmt::format("#SBATCH --mem={}M\n", need);
  } else {
    text += fmt::format("#SBATCH --mem=0\n#SBATCH --gpus-per-node={}\n", cost.ranks_per_node);
  }
  text += fmt::format("#SBATCH --time={}\n#SBATCH --signal=USR1@180\n", time_limit(cost.seconds + cost.load_seconds));
  // A node that is lost without a word is noticed by TCP's keepalive: half a minute instead of OpenMPI's eight.
  text += R"(
set -euo pipefail
export OMPI_MCA_oob_tcp_keepalive_time=10
export OMPI_MCA_oob_tcp_keepalive_intvl=5
export OMPI_MCA_oob_tcp_keepalive_probes=3

# -K1: a task that dies ends the step, and none waits for it. Stopped by the time limit (USR1, three minutes before: what
# is done is committed) or a lost node? Submit the same script again: the job continues.
)";
  // Newer versions of srun do not take --cpus-per-task over from sbatch.
  text += fmt::format("srun --mpi=pmix -K1 --cpus-per-task=\"$SLURM_CPUS_PER_TASK\" --cpu-bind=cores {}\n", command);
  return text;
}

}  // namespace thresher::schedule
