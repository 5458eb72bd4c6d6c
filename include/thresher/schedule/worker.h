// Every rank's half of the scheduler: lease -> read -> encode -> score -> rows -> post.
#pragma once

#include <cstdint>
#include <vector>

#include "thresher/base/metrics.h"
#include "thresher/comm/mailbox.h"
#include "thresher/engine/score_task.h"
#include "thresher/store/document.h"

namespace thresher::schedule {

// What a worker needs; all of it outlives the worker.
struct WorkerParts {
  comm::Mailbox& mailbox;
  store::Source& corpus;
  const std::vector<std::int64_t>& shards;  // as store::Plan::shards
  const engine::EncodePolicy& policy;
  engine::ScoreTask& task;
  store::Columns columns;
};

// Works until there are no more leases, then adds its seconds to `metrics` ("read", "tokenize", "wait input",
// "score", "communicate"). A reader thread leases, reads and encodes ahead of the scorer, by a bounded number of
// shards. Throws base::Error when the job ends with an error, this rank's or another's.
void run_worker(const WorkerParts& parts, base::Metrics& metrics);

}  // namespace thresher::schedule
