// How large a job's batches are where layers are streamed: model/streaming.h with this machine's measured rates.
#pragma once

#include <optional>

#include "thresher/device/device.h"
#include "thresher/model/streaming.h"
#include "thresher/model/transformer.h"

namespace thresher::schedule {

// Of a part that is to be loaded, on a device that holds nothing of it yet. Nothing where no layer will be streamed;
// else the device is measured, for about 0.2 s. `config` and `options` must outlive what is given.
std::optional<model::StreamDemand> stream_demand(device::Device& device, const model::ModelConfig& config,
                                                 const model::StageOptions& options);

// Tokens of the batch that hides the copies, options.capacity's at least.
std::int64_t streamed_batch(const model::StreamDemand& demand, model::Streaming streaming);

}  // namespace thresher::schedule
