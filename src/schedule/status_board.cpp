#include "schedule/status_board.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "thresher/base/log.h"
#include "thresher/base/machine.h"

namespace thresher::schedule {
namespace {

constexpr std::chrono::seconds interval{5};

}  // namespace

StatusBoard::StatusBoard(const std::string& started, int ranks) {
  status_.started = started;
  status_.ranks = ranks;
  status_.host = base::host_name();
  status_.process = ::getpid();
}

void StatusBoard::open(base::FileSystem& files, const base::Path& file) {
  {
    const std::lock_guard lock(writing_);
    files_ = &files;
    file_ = file;
  }
  thread_ = std::thread([this] { run(); });
}

StatusBoard::~StatusBoard() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void StatusBoard::enter(State state) {
  const std::lock_guard lock(mutex_);
  if (ended_ || status_.state == state) return;
  status_.state = state;
  dirty_ = true;
  changed_.notify_all();
}

void StatusBoard::place(const std::string& layout) {
  const std::lock_guard lock(mutex_);
  status_.layout = layout;
}

void StatusBoard::begin(const ProgressTotals& totals, std::int64_t shards, std::int64_t shards_done) {
  const std::lock_guard lock(mutex_);
  totals_ = totals;
  status_.documents = totals.documents;
  status_.documents_done = totals.documents_before;
  status_.shards = shards;
  status_.shards_done = shards_done;
  began_ = watch_.seconds();
}

void StatusBoard::advance(const Advance& advance, double weight) {
  const std::lock_guard lock(mutex_);
  status_.shards_done += advance.shards - advance_.shards;
  advance_ = advance;
  status_.documents_done = totals_.documents_before + advance.documents;
  status_.tokens = advance.tokens;
  status_.nan = advance.nan;
  status_.rejected = advance.failures - advance.nan;
  weight_ = weight;
}

void StatusBoard::hear(std::vector<Heartbeat> heartbeats) {
  const std::lock_guard lock(mutex_);
  status_.heartbeats = std::move(heartbeats);
  heard_ = watch_.seconds();
}

void StatusBoard::end(State state, base::Exit code, const std::string& message) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    status_.state = state;
    status_.exit_code = code;
    status_.message = message;
    ended_ = true;
    changed_.notify_all();
  }
  write();
}

Status StatusBoard::now() const {
  const std::lock_guard lock(mutex_);
  Status status = status_;
  status.seconds = watch_.seconds();
  const double scoring = status.seconds - began_;
  if (status.tokens > 0) status.tokens_per_second = static_cast<double>(status.tokens) / std::max(scoring, 1e-3);
  if (weight_ > 0 && !is_over(status.state))
    status.eta = (totals_.weight - totals_.weight_before - weight_) / weight_ * scoring;
  for (Heartbeat& beat : status.heartbeats) beat.silence += status.seconds - heard_;
  status.written = base::real_clock().utc();
  status.written_at = std::time(nullptr);
  return status;
}

void StatusBoard::run() {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    dirty_ = false;
    lock.unlock();
    write();
    lock.lock();
    changed_.wait_for(lock, interval, [this] { return dirty_ || ended_; });
  }
}

void StatusBoard::write() {
  const std::lock_guard lock(writing_);
  if (files_ == nullptr) return;
  try {
    const std::string text = status_json(now());
    try {
      base::write_atomically(*files_, file_, text);
    } catch (const base::Error&) {
      // Whoever clears the directory of a dead job's temporary files may take this one too.
      base::write_atomically(*files_, file_, text);
    }
  } catch (const std::exception& error) {
    if (std::exchange(complained_, true)) return;
    base::warn(fmt::format("the status cannot be written: {}; the job goes on", error.what()));
  }
}

}  // namespace thresher::schedule
