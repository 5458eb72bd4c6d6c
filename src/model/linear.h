// Weights on the device: vectors, and matrices with their biases. With the embedding and the head, the only place that
// knows of tensor shards.
#pragma once

#include <memory>
#include <vector>

#include "model/pass.h"

namespace thresher::model {

// f32, 1 x width; empty where a model has none.
struct Vector {
  device::Buffer memory;
  tensor::Tensor view;
};

// y = x W^T + b: of the outputs that this shard holds.
struct Linear {
  std::unique_ptr<device::Weight> weight;
  Vector bias;

  // Into `out`, in its dtype.
  void apply(device::Device& device, const tensor::Tensor& x, const tensor::Tensor& out) const {
    device.matmul(x, *weight, bias.view, false, out);
  }
};

// y = x W^T + b: of the inputs that this shard holds, all outputs; the shards' products are added up.
struct SummedLinear {
  std::unique_ptr<device::Weight> weight;
  std::vector<std::int64_t> cuts;  // of the inputs: the weight's pieces
  Vector bias;

  // Onto the residual stream, f32. Collective over pass.sums.
  void add_to(const Pass& pass, const tensor::Tensor& x, const tensor::Tensor& residual) const;
  static std::int64_t scratch_bytes(std::int64_t width, int shards, std::int64_t tokens);
};

// The embedding of the ids that this shard holds.
struct Embedding {
  device::Buffer memory;
  tensor::Tensor table;  // [ids, hidden], bf16 or f32
  std::int64_t first_id = 0;

  // Into the residual stream. Collective over pass.sums.
  void apply(const Pass& pass, const tensor::Tensor& ids, const tensor::Tensor& residual) const;
};

}  // namespace thresher::model
