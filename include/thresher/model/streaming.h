// Layer streaming: which layers stay in the device's memory where not all of them fit, and how large a batch has to be
// then. Pure.
//
// The others lie in pinned host memory and pass through two slots of device memory, each once a batch, a layer's copy
// beside the work of those before it. For a batch of T tokens at F FLOP/s, c FLOP a token, S streamed bytes and B
// bytes/s from the host to the device, the copies hide behind the work as long as T c / F >= S / B. With everything
// streamed, w bytes a parameter and 2 FLOP a parameter and token that is T >= w F / (2 B). (Streaming weights is
// FlexGen's and ZeRO-Inference's idea: Sheng et al. 2023, arXiv 2303.06865; Aminabadi et al. 2022, arXiv 2207.00032.)
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "thresher/model/config.h"
#include "thresher/model/partition.h"
#include "thresher/tensor/dtype.h"

namespace thresher::model {

// `on` streams every layer, `off` none.
enum class Streaming : std::uint8_t { automatic, on, off };

// Packed bytes of the matrices of each layer that a part holds at least half of.
std::vector<std::int64_t> layer_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype);

// What stays free of so much memory of a device: a twentieth, or what trying algorithms of its largest product takes,
// which is a copy of that matrix and many rows on both sides.
std::int64_t spare_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype, std::int64_t memory);

struct StreamPlan {
  std::vector<bool> streamed = {};  // of each layer
  std::int64_t slot = 0;            // bytes of each of two, that of the largest streamed layer
  std::int64_t resident = 0;        // bytes of the layers that stay
  std::int64_t bytes = 0;           // of the others: copied in each batch

  int count() const;  // of streamed layers
  std::int64_t device_bytes() const { return resident + 2 * slot; }
};

// As few streamed layers as fit `room` bytes, spread evenly among the others. Nothing where that cannot be.
std::optional<StreamPlan> plan_stream(std::span<const std::int64_t> layers, std::int64_t room, Streaming streaming);

// What decides a batch's size.
struct StreamDemand {
  std::vector<std::int64_t> layers = {};                // bytes
  double flop = 0;                                      // of the part, a token
  double flops = 0;                                     // FLOP/s
  double copy = 0;                                      // bytes/s
  std::int64_t tokens = 0;                              // of the smallest batch
  std::function<std::int64_t(std::int64_t)> room = {};  // bytes for layers beside a batch of so many tokens
};

struct StreamBatch {
  std::int64_t tokens = 0;
  StreamPlan plan;
};

// The smallest batch that is as fast as any (to 1 %): larger ones hide the copies, and leave less room for layers that
// stay. The given one where everything stays or copies cost nothing. Nothing where no layer fits beside that.
std::optional<StreamBatch> plan_stream_batch(const StreamDemand& demand, Streaming streaming);

// The share of a batch's time in which its work waits for copies.
double waiting_share(const StreamDemand& demand, std::int64_t tokens, std::int64_t bytes);

}  // namespace thresher::model
