// `--layout auto`.
#pragma once

#include "schedule/survey.h"
#include "thresher/schedule/job.h"
#include "thresher/schedule/layouts.h"

namespace thresher::schedule {

// The layout of a job on these hosts: whole copies of the model where they fit. Depends on its arguments and the
// model's config.json alone. Throws base::Error: no_input, data, config.
comm::Layout automatic_layout(const Job& job, const Survey& survey, const Hosts& hosts);

}  // namespace thresher::schedule
