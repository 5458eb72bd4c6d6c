// What Slurm says about the job that this process belongs to.
#pragma once

#include <optional>

namespace thresher::schedule {

// Seconds until Slurm ends the job, less some for the batch script to go on; nothing where no time limit is known.
// Asks squeue where the environment does not tell, and waits for it for some seconds at most.
std::optional<double> slurm_time_left();

}  // namespace thresher::schedule
