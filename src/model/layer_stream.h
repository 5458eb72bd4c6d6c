// The order in which layers that do not stay on the device come and go: while one is used the next one is copied, and
// as soon as it has been used its slot gets the one after the next; the last ones of a batch are followed by the first
// ones of the batch after it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/block.h"
#include "thresher/model/streaming.h"

namespace thresher::model {

class LayerStream {
 public:
  // `halves` are those of a part that begins with half layer `first`; they and the device must outlive this. Begins to
  // bring the first two layers.
  LayerStream(device::Device& device, std::span<HalfBlock> halves, std::int64_t first, const StreamPlan& plan);

  // The steps of half block `index` have been queued; they are called in order, from 0 to the last, over and over.
  void passed(std::size_t index);

 private:
  struct Layer {
    std::size_t layer = 0;  // of the part
    std::vector<device::Weight*> weights;
    std::size_t last = 0;  // half block
    int slot = 0;
  };
  void bring(std::size_t layer, int slot);

  device::Device& device_;
  std::vector<Layer> layers_;  // the streamed ones
  std::size_t next_ = 0;       // of them, to be passed
};

}  // namespace thresher::model
