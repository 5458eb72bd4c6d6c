// The sample's way through the model.
#pragma once

#include <optional>

#include "schedule/sample.h"
#include "schedule/setup.h"

namespace thresher::schedule {

// A replica after its work is done, every shard committed.
struct Sampler {
  Setup& setup;
  const Job& job;
  const Survey& survey;
  const comm::Grid& grid;
  base::Activity& activity;
};

// Scores the sample with the transformer that is there, in int8, then with one in bf16, which replaces it. The answer
// is the leader's. Collective over the replica.
std::optional<Int8Error> measure_int8(const Sampler& sampler);

}  // namespace thresher::schedule
