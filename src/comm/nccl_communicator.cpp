#include "comm/nccl_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <source_location>
#include <thread>
#include <utility>
#include <vector>

#include "comm/waiting.h"
#include "thresher/comm/nccl.h"

namespace thresher::comm {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Between looks for failures that nobody has asked about.
constexpr milliseconds between_looks{100};
// How long the others may take to leave, and a call of NCCL to return when everything ends.
constexpr milliseconds longest_goodbye{5000};
constexpr milliseconds longest_call{2000};
// How long the rank that failed may take to say so itself, where this one only finds it gone.
constexpr milliseconds longest_silence{2000};

constexpr int root = 0;

void await_the_cause(ncclResult_t result) {
  const auto until = steady_clock::now() + longest_silence;
  while (result == ncclRemoteError && steady_clock::now() < until && !cancelled())
    std::this_thread::sleep_for(milliseconds(10));
}

}  // namespace

// All communicators of the process.
class NcclEnding {
 public:
  // Never destroyed: a thread looks at it.
  static NcclEnding& one() {
    static NcclEnding* const ending = new NcclEnding;
    return *ending;
  }

  void add(NcclCommunicator& communicator) {
    {
      const std::lock_guard lock(mutex_);
      const auto later = std::ranges::find(live_, NcclEnds::last, [](const auto* one) { return one->ends_; });
      live_.insert(communicator.ends_ == NcclEnds::first ? later : live_.end(), &communicator);
      if (std::exchange(looking_, true)) return;
    }
    std::thread([this] { look(); }).detach();
    when_cancelled([this] { end(); });
  }

  void remove(NcclCommunicator& communicator) {
    const std::lock_guard lock(mutex_);
    std::erase(live_, &communicator);
  }

  // Waits throw already.
  void end() {
    const std::lock_guard lock(mutex_);
    for (NcclCommunicator* communicator : live_) communicator->abort();
  }

 private:
  [[noreturn]] void look() {
    for (;;) {
      std::this_thread::sleep_for(between_looks);
      const auto failure = found();
      if (!failure) continue;
      await_the_cause(failure->result);
      fail_here(failure->error);
      end();
    }
  }

  struct Failure {
    ncclResult_t result;
    base::Error error;
  };

  std::optional<Failure> found() {
    const std::lock_guard lock(mutex_);
    for (NcclCommunicator* communicator : live_) {
      const std::unique_lock calls(communicator->mutex_, std::try_to_lock);
      if (!calls || !communicator->comm_) continue;
      ncclResult_t state = ncclSuccess;
      const ncclResult_t asked = communicator->nccl_.comm_get_async_error(communicator->comm_, &state);
      if (asked == ncclSuccess && (state == ncclSuccess || state == ncclInProgress)) continue;
      const ncclResult_t result = asked == ncclSuccess ? state : asked;
      return Failure{result, communicator->error_of(result, "exchanging")};
    }
    return std::nullopt;
  }

  std::mutex mutex_;
  std::vector<NcclCommunicator*> live_;  // in the order in which they end
  bool looking_ = false;
};

NcclCommunicator::NcclCommunicator(Comm& ranks, std::string whose, NcclEnds ends)
    : nccl_(nccl_library()), whose_(std::move(whose)), rank_(ranks.rank()), size_(ranks.size()), ends_(ends) {
  ncclUniqueId id{};
  if (rank_ == root) expect(nccl_.get_unique_id(&id), "beginning");
  ranks.broadcast(std::as_writable_bytes(std::span(&id, 1)), root);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  expect(nccl_.comm_init_rank_config(&comm_, size_, id, rank_, &config), "connecting");
  NcclEnding::one().add(*this);
  try {
    await("connecting");
  } catch (...) {
    leave();
    throw;
  }
}

NcclCommunicator::~NcclCommunicator() {
  leave();
}

void NcclCommunicator::await(const char* doing) {
  Patience patience;
  for (;;) {
    ncclResult_t state = ncclSuccess;
    {
      const std::lock_guard lock(mutex_);
      throw_if_cancelled();
      expect(nccl_.comm_get_async_error(comm_, &state), doing);
    }
    if (state != ncclInProgress) return expect(state, doing);
    patience.pause();
  }
}

void NcclCommunicator::expect(ncclResult_t result, const char* doing) const {
  if (result == ncclSuccess || result == ncclInProgress) return;
  await_the_cause(result);
  throw_if_cancelled();
  throw error_of(result, doing);
}

base::Error NcclCommunicator::error_of(ncclResult_t result, const char* doing) const {
  const bool ours = result == ncclInvalidArgument || result == ncclInvalidUsage;
  return {ours ? base::Exit::internal : base::Exit::os,
          fmt::format("NCCL {} failed while {}, rank {} of the {} of {}: {} (code {}); NCCL_DEBUG=INFO in the "
                      "environment tells more, --gpu-transport host does without NCCL",
                      nccl_version_text(nccl_.version), doing, rank_, size_, whose_, nccl_.get_error_string(result),
                      static_cast<int>(result)),
          std::source_location()};
}

void NcclCommunicator::leave() {
  NcclEnding::one().remove(*this);
  const std::lock_guard lock(mutex_);
  if (!comm_) return;
  ncclResult_t state = nccl_.comm_finalize(comm_);
  const auto until = steady_clock::now() + longest_goodbye;
  Patience patience;
  while (state == ncclInProgress && steady_clock::now() < until && !cancelled()) {
    patience.pause();
    if (nccl_.comm_get_async_error(comm_, &state) != ncclSuccess) state = ncclInternalError;
  }
  static_cast<void>(state == ncclSuccess ? nccl_.comm_destroy(comm_) : nccl_.comm_abort(comm_));
  comm_ = nullptr;
}

// A call of NCCL may be stuck on a full queue of a GPU that waits for this: then it ends while the call goes on, whose
// caller learns in its next wait that the communicator is gone.
void NcclCommunicator::abort() {
  const std::unique_lock lock(mutex_, longest_call);
  if (ncclComm_t comm = std::exchange(comm_, nullptr)) static_cast<void>(nccl_.comm_abort(comm));
}

}  // namespace thresher::comm
