// Algorithms for a GPU's steps: chosen by measurement once for all ranks, so that their bits agree.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "thresher/comm/comm.h"
#include "thresher/device/device.h"
#include "thresher/model/transformer.h"

namespace thresher::schedule {

struct TuningTask {
  comm::Comm& world;
  std::span<const std::string> names;  // of the ranks, for messages
  device::Device& device;              // a CUDA device
  model::Transformer& transformer;     // on it
  std::string known;                   // algorithms of an earlier start, which the device has been given
  // Does work of this rank alone, so that its error ends the waits of all.
  std::function<void(const std::function<void()>&)> guarded;
};

// Collective. Every rank finds out which steps of its part need an algorithm; the first rank that has a step measures
// for all. Answers what is known then, the same on all ranks: what was known before, and what is new behind it. Nothing
// is measured where the ranks' GPUs are of several kinds: they must not compute together.
std::string tune_together(const TuningTask& task);

// Gives the device algorithms that an earlier start of the job in `output` has kept. Throws base::Error (data, config).
void give_algorithms(device::Device& device, const std::string& known, const std::string& output);

}  // namespace thresher::schedule
