// A communicator of NCCL that never keeps anybody waiting for ever: all of NCCL's own calls return at once, and
// cancel() or a failure of any of this process's communicators ends what is under way in all of them.
#pragma once

#include <mutex>
#include <string>

#include "comm/nccl_library.h"
#include "thresher/base/check.h"
#include "thresher/comm/comm.h"
#include "thresher/comm/ending.h"

namespace thresher::comm {

// Which communicators end first: those that carry a batch's numbers on to another stage must not do so any more when
// the others let go of them half-way.
enum class NcclEnds : bool { first, last };

class NcclCommunicator {
 public:
  // Of all of `ranks`, with the calling thread's GPU. Collective. `whose`: "the shards of stage 1".
  NcclCommunicator(Comm& ranks, std::string whose, NcclEnds ends);
  // Collective, unless something has failed.
  ~NcclCommunicator();
  NcclCommunicator(const NcclCommunicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  // Puts what `body` calls (of NCCL, with this communicator; their results are its own) on a GPU's queue together.
  // Throws base::Error with `doing`.
  template <class Body>
  void group(const char* doing, const Body& body) {
    {
      const std::lock_guard lock(mutex_);
      throw_if_cancelled();
      expect(nccl_.group_start(), doing);
      const ncclResult_t result = body(nccl_, comm_);
      const ncclResult_t end = nccl_.group_end();
      expect(result, doing);
      expect(end, doing);
    }
    await(doing);
  }

 private:
  friend class NcclEnding;

  // Until NCCL has done what it was called for.
  void await(const char* doing);
  void expect(ncclResult_t result, const char* doing) const;
  base::Error error_of(ncclResult_t result, const char* doing) const;
  void leave();
  void abort();

  const NcclLibrary& nccl_;
  const std::string whose_;
  const int rank_, size_;
  const NcclEnds ends_;
  std::timed_mutex mutex_;  // of calls; not held while waiting
  ncclComm_t comm_ = nullptr;
};

}  // namespace thresher::comm
