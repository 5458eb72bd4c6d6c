// A checkpoint's way onto the device, one matrix at a time in host memory.
#pragma once

#include <vector>

#include "model/block.h"
#include "thresher/model/checkpoint.h"
#include "thresher/model/transformer.h"

namespace thresher::model {

struct Weights {
  device::Buffer table_memory;
  tensor::Tensor table;  // embeddings [vocabulary, hidden], bf16 or f32
  std::vector<Block> blocks;
  Vector final_norm;
  std::unique_ptr<device::Weight> head;
};

// Loads and checks everything, with products in `dtype`, and fills `report`. Throws base::Error: no_input, data (a
// tensor missing, misshapen or not finite), config, io, os.
Weights load_weights(device::Device& device, base::FileSystem& files, const base::Path& directory,
                     const ModelConfig& config, tensor::DType dtype, LoadReport& report);

}  // namespace thresher::model
