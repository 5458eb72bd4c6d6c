#include "model/layer_stream.h"

#include <algorithm>

namespace thresher::model {

LayerStream::LayerStream(device::Device& device, std::span<HalfBlock> halves, std::int64_t first,
                         const StreamPlan& plan)
    : device_(device) {
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const auto layer = static_cast<std::size_t>((first + static_cast<std::int64_t>(i)) / 2 - first / 2);
    if (!plan.streamed[layer]) continue;
    if (layers_.empty() || layers_.back().layer != layer) layers_.emplace_back().layer = layer;
    for (device::Weight* weight : halves[i].matrices()) layers_.back().weights.push_back(weight);
    layers_.back().last = i;
  }
  std::int64_t most = 0;
  for (const Layer& layer : layers_) {
    std::int64_t bytes = 0;
    for (const device::Weight* weight : layer.weights) bytes += weight->bytes();
    most = std::max(most, bytes);
  }
  if (layers_.empty()) return;
  device_.make_slots(most);
  for (std::size_t layer = 0; layer < std::min<std::size_t>(2, layers_.size()); ++layer)
    bring(layer, static_cast<int>(layer));
}

void LayerStream::bring(std::size_t layer, int slot) {
  layers_[layer].slot = slot;
  device_.bring(layers_[layer].weights, slot);
}

void LayerStream::passed(std::size_t index) {
  if (layers_.empty() || layers_[next_].last != index) return;
  const std::size_t count = layers_.size();
  bring((next_ + 2) % count, layers_[next_].slot);
  next_ = (next_ + 1) % count;
}

}  // namespace thresher::model
