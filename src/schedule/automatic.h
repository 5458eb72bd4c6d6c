// `--layout auto`.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "schedule/survey.h"
#include "thresher/comm/comm.h"
#include "thresher/schedule/job.h"
#include "thresher/schedule/layouts.h"

namespace thresher::schedule {

// Collective. What there is on the hosts of these names, by rank; `gpu_memory` as Hosts has it.
Hosts gather_hosts(comm::Comm& world, std::span<const std::string> names, std::int64_t gpu_memory);

// The layout of a job on these hosts: whole copies of the model where they fit. Depends on its arguments and the
// model's config.json alone. Throws base::Error: no_input, data, config.
comm::Layout automatic_layout(const Job& job, const Survey& survey, const Hosts& hosts);

}  // namespace thresher::schedule
