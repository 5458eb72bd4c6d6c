// A checkpoint's way onto the device, one matrix at a time in host memory.
#pragma once

#include <memory>
#include <vector>

#include "model/block.h"
#include "model/head.h"
#include "thresher/model/checkpoint.h"
#include "thresher/model/streaming.h"
#include "thresher/model/transformer.h"

namespace thresher::model {

// Those of one part.
struct Weights {
  Embedding embedding;  // of a part that embeds
  std::vector<HalfBlock> halves;
  Head head;  // of a part that scores
};

// Loads and checks what the part needs, in two steps. Throws base::Error: no_input, data (a tensor missing, misshapen
// or not finite), config, io, os. Collective over options.peers. Everything given must outlive this.
class WeightLoader {
 public:
  WeightLoader(device::Device& device, base::FileSystem& files, const base::Path& directory, const ModelConfig& config,
               const StageOptions& options);
  ~WeightLoader();
  // Embedding and head, which stay on the device.
  void load_ends(Weights& weights);
  // The layers: those that stay go where room is left on the device, so everything else has to be there by now.
  StreamPlan load_layers(Weights& weights);
  LoadReport report() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace thresher::model
