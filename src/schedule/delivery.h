// Where a worker's finished shards go: to rank zero, which commits them, or into the run directory at once.
#pragma once

#include <memory>

#include "thresher/base/metrics.h"
#include "thresher/schedule/worker.h"
#include "thresher/store/result.h"

namespace thresher::schedule {

class Delivery {
 public:
  virtual ~Delivery() = default;
  // Waits while too many parts are on their way.
  virtual void deliver(const store::Rows& rows) = 0;
  // Waits until all are durable.
  virtual void finish() = 0;
};

// To rank zero where parts.own_parts is null. Both arguments must outlive it.
std::unique_ptr<Delivery> make_delivery(const WorkerParts& parts, base::Metrics& metrics);

}  // namespace thresher::schedule
