// Rank zero's account of the job, and the thread that puts it into status.json.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "schedule/progress.h"
#include "thresher/base/file.h"
#include "thresher/schedule/status.h"

namespace thresher::schedule {

// Thread-safe. What cannot be written is told once and never ends the job.
class StatusBoard {
 public:
  StatusBoard(const std::string& started, int ranks);
  ~StatusBoard();
  StatusBoard(const StatusBoard&) = delete;

  // Writes from now on, every few seconds and when the state changes. Once.
  void open(base::FileSystem& files, const base::Path& file);

  void enter(State state);
  void place(const std::string& layout);
  // Scoring begins.
  void begin(const ProgressTotals& totals, std::int64_t shards, std::int64_t shards_done);
  // `weight`: as Progress::update's.
  void advance(const Advance& advance, double weight);
  void hear(std::vector<Heartbeat> heartbeats);
  // The last word, written when this returns. Later ones are not heard.
  void end(State state, base::Exit code, const std::string& message);

  Status now() const;

 private:
  void run();
  void write();

  const base::Stopwatch watch_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  Status status_;
  ProgressTotals totals_;
  Advance advance_;
  double weight_ = 0;             // committed in this run
  double began_ = 0, heard_ = 0;  // by watch_
  bool dirty_ = true, ended_ = false;
  std::mutex writing_;  // of what follows
  base::FileSystem* files_ = nullptr;
  base::Path file_;
  bool complained_ = false;
  std::thread thread_;
};

}  // namespace thresher::schedule
