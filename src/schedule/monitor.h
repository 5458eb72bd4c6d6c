// Every rank's watchdog: hears whether the others live, and ends the job on all of them when one cannot go on, or when
// it is asked to.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "schedule/stop.h"
#include "thresher/base/check.h"
#include "thresher/base/signals.h"
#include "thresher/schedule/job.h"
#include "thresher/schedule/watch.h"

namespace thresher::schedule {

// Called on rank zero, on the monitor's thread.
struct MonitorHooks {
  // SIGUSR2 has come, on any rank.
  std::function<void()> queried;
  // Once a second: what is known of every rank.
  std::function<void(std::vector<Watch::Word>)> beat;
  // The process ends at once: its other threads do not hear of the error.
  std::function<void(const base::Error&)> farewell;
};

class Monitor {
 public:
  // `names` by rank, for messages: "rank 3 (n1, replica 0, stage 1)". A rank may be silent for `limit` seconds; 0 means
  // for ever. Signals of this rank go to rank zero, and its orders to `stop`. All arguments must outlive this.
  Monitor(World world, std::vector<std::string> names, const Activities& activities, double limit, Stop& stop,
          MonitorHooks hooks);
  // The job has ended well on all ranks, or comm::cancel() was called. Waits for the other ranks' monitors.
  ~Monitor();
  Monitor(const Monitor&) = delete;

  // More is known about the ranks.
  void rename(std::vector<std::string> names);

  // This rank cannot go on: all ranks' waits end with this error soon, this rank's too. Any thread.
  void fail(const base::Error& error);

 private:
  void run() noexcept;
  void look();
  void beat(double now);
  void handle(const comm::Message& message, double now);
  void end(const base::Error& error);
  void pass_signals();
  void lead_stop(double now);
  void announce(const StopOrder& order) const;
  void await_end() const;
  void await_leaving() const;
  std::string name_of(int rank) const;
  void say_goodbye();

  World world_;
  mutable std::mutex mutex_;  // of names_
  std::vector<std::string> names_;
  const Activities& activities_;
  const double limit_;
  const bool leads_;
  Watch watch_;  // the leader's of all ranks; of rank zero elsewhere
  double last_look_ = 0, last_beat_ = 0;
  int goodbyes_ = 0;
  // The monitor ends this rank's part: from its first word to the others on; when all waits of this rank are cancelled.
  std::atomic<bool> ending_{false}, ended_{false};
  std::atomic<bool> leaving_{false};
  Stop& stop_;
  const MonitorHooks hooks_;
  base::Signals passed_;      // signals that rank zero knows of
  double query_time_ = 0;     // of the latest query answered
  double dropped_since_ = 0;  // when everybody was told to drop what is not finished
  std::thread thread_;
};

}  // namespace thresher::schedule
