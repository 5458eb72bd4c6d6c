// A replica's half of the scheduler, at its leader: lease -> read -> encode -> score -> rows -> deliver.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thresher/base/cores.h"
#include "thresher/base/metrics.h"
#include "thresher/comm/mailbox.h"
#include "thresher/engine/score_task.h"
#include "thresher/schedule/watch.h"
#include "thresher/store/document.h"
#include "thresher/store/part_writer.h"

namespace thresher::schedule {

class Stop;

// What a worker needs; all of it outlives the worker.
struct WorkerParts {
  comm::Mailbox& mailbox;
  store::Source& corpus;
  const std::vector<std::int64_t>& shards;  // as store::Plan::shards
  const engine::EncodePolicy& policy;
  engine::ScoreTask& task;
  store::Columns columns;
  std::string job;               // store::Plan::identity()
  store::PartWriter* own_parts;  // null: rank zero commits
  base::Core scorer_core;        // of the thread that calls run_worker; empty: any
  Activities& activities;
  const Stop& stop;
};

// Works until there are no more leases, or until a stop: then no further shard is begun, and those under way are
// finished as far as the time allows. Then adds its seconds to `metrics` ("read", "tokenize", "wait input",
// "communicate"). A reader thread leases, reads and encodes ahead of the scorer, by a bounded number of
// shards, and asks for a lease before it needs one. Throws base::Error; comm::cancel() ends it.
void run_worker(const WorkerParts& parts, base::Metrics& metrics);

}  // namespace thresher::schedule
