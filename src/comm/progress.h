// The thread that looks after messages while everybody computes: MPI moves long messages only inside its calls.
#pragma once

namespace thresher::comm {

// Messages that have to be looked at.
class Moving {
 public:
  virtual ~Moving() = default;
  // Called under the lock. True if something got through since the last look.
  virtual bool advance() = 0;
};

// From now on advance() is called every now and then by a thread of the process, which exists while anything is being
// watched. Not to be called under the lock.
void watch(Moving& moving);
// Returns after the last call of advance().
void unwatch(Moving& moving);

}  // namespace thresher::comm
