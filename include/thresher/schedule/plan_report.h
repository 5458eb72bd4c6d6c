// A plan as people and programs read it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "thresher/schedule/layouts.h"
#include "thresher/schedule/simulate.h"

namespace thresher::schedule {

struct PlanReport {
  std::string model;   // as it was named
  std::string corpus;  // where the lengths come from
  const Demand& demand;
  const Machine& machine;
  int ranks = 1;
  std::vector<Candidate> candidates;          // best first
  std::optional<SimulationResult> simulated;  // of the best
};

// A table of layouts, what the best one costs, and why the others lose.
std::string plan_text(const PlanReport& report);
// The same as JSON, every layout with its stages.
std::string plan_json(const PlanReport& report);
// A Slurm batch script of the best layout. `command` is the call of thresher that each task makes.
std::string sbatch_script(const PlanReport& report, const std::string& command);

}  // namespace thresher::schedule
