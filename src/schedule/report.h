// What people and programs read about a job when it ends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schedule/sample.h"
#include "thresher/base/metrics.h"
#include "thresher/comm/grid.h"
#include "thresher/schedule/job.h"
#include "thresher/store/run_directory.h"

namespace thresher::schedule {

// The numbers of a finished job. Time and speed are those of this run, totals those of the whole corpus.
struct Outcome {
  store::Totals totals;
  double seconds = 0;                // wall time of this run, everything included
  double score_seconds = 0;          // of it, from the first lease to the last commit
  std::vector<base::Metrics> ranks;  // of this run
  comm::Layout layout;
  std::vector<comm::Place> places;  // by rank
  std::vector<std::string> gpus;    // UUIDs by rank; none without GPUs
  std::string dtype, device, isa;
  std::string transport;  // between GPUs
  int threads = 0;
  bool pinned = false;
  std::optional<Int8Error> int8_error;  // of jobs in int8
};

// Speed as shares of the machine's measured peak (definitions: jobs/README.md).
struct Shares {
  double tokens_per_second = 0;
  double rows_computed = 0;     // tokens that went through the model, in front of documents and in overlaps too
  double rows_shared = 0;       // that had no need to, because documents before began with them
  double flops_per_second = 0;  // of what was computed
  double peak = 0;              // FLOP/s, summed over ranks
  double peak_fraction = 0;
  double products_fraction = 0;
};
Shares shares_of(const Outcome& outcome);

// The share of its time that a rank's device had nothing to do (device::DeviceUse), and the greatest of all ranks';
// nothing where the device is the host.
std::optional<double> device_idle(const base::Metrics& rank);
std::optional<double> device_idle(const Outcome& outcome);

// Of the rank that streams most layers.
struct StreamingReport {
  int layers = 0, streamed = 0;
  double bytes = 0;                  // in each batch
  double waiting = 0, foreseen = 0;  // shares of the time that went by so, on the rank that waited most
};
StreamingReport streaming_of(const Outcome& outcome);

// summary.json: fields as architecture documents name them.
std::string summary_json(const Outcome& outcome);

// run.json: what is needed to repeat the run, and where it ran.
std::string run_json(const Job& job, const Outcome& outcome, const std::vector<std::string>& hosts,
                     const std::string& started, const std::string& ended);

// The table at the end: totals, speed, where the time went (min / avg / max over ranks), advice.
std::string report_text(const Outcome& outcome);

}  // namespace thresher::schedule
