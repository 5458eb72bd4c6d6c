// Speed of scoring from end to end, on random weights.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "thresher/device/device.h"
#include "thresher/model/make_model.h"

namespace thresher::app {

struct BenchSettings {
  model::MakeModel shape;
  tensor::DType dtype = tensor::DType::bf16;  // of the products
  bool int8_head = false;                     // with i8
  int threads = 1;
  std::optional<int> gpu = {};  // its place in the driver's list; none: the CPU
  std::int64_t tokens_per_batch = 0;
  std::int64_t document = 0;  // tokens of each document
  double seconds = 0;         // how long to score
  double seconds_per_step = 0;
};

// Throws base::Error.
std::unique_ptr<device::Device> make_device(const BenchSettings& settings);

struct TimeShare {
  std::string what;
  double share = 0;
};

struct ScoreSpeed {
  double tokens_per_second = 0;
  double flops_per_second = 0;
  double products_fraction = 0;  // of the time, spent in matrix products
  double peak = 0;               // FLOP/s, measured in the same run
  double peak_fraction = 0;
  // "products" (the head's included), every other step, "head beside its products", "between steps": 1 in all.
  std::vector<TimeShare> time;
  std::optional<device::DeviceUse> use;
  std::optional<double> joules_per_token, utilisation;  // of the GPU, where it tells
  std::int64_t allocated_peak = 0;                      // bytes on the GPU
};

// Writes a model of this shape to a temporary directory, loads it as a job would, and scores batches full of documents
// of random tokens. Throws base::Error.
ScoreSpeed measure_score(const BenchSettings& settings);

}  // namespace thresher::app
