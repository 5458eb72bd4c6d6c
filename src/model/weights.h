// A checkpoint's way onto the device, one matrix at a time in host memory.
#pragma once

#include <vector>

#include "model/block.h"
#include "model/head.h"
#include "thresher/model/checkpoint.h"
#include "thresher/model/transformer.h"

namespace thresher::model {

// Those of one part.
struct Weights {
  Embedding embedding;  // of a part that embeds
  std::vector<HalfBlock> halves;
  Head head;  // of a part that scores
};

// Loads and checks what the part needs, and fills `report`. Throws base::Error: no_input, data (a tensor missing,
// misshapen or not finite), config, io, os. Collective over options.peers.
Weights load_weights(device::Device& device, base::FileSystem& files, const base::Path& directory,
                     const ModelConfig& config, const StageOptions& options, LoadReport& report);

}  // namespace thresher::model
