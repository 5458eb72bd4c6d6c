#include "thresher/schedule/machine.h"

#include <fmt/format.h>

#include <cmath>

#include "thresher/base/check.h"

namespace thresher::schedule {

double Curve::at(double size) const {
  if (size <= points_.front().first) return points_.front().second;
  for (std::size_t i = 1; i < points_.size(); ++i) {
    const auto& [x, y] = points_[i];
    if (size > x) continue;
    const auto& [x0, y0] = points_[i - 1];
    return y0 + (y - y0) * std::log(size / x0) / std::log(x / x0);
  }
  return points_.back().second;
}

const Rates& rates_of(const Machine& machine, tensor::DType dtype) {
  const auto found = machine.rates.find(tensor::name_of(dtype));
  if (found != machine.rates.end()) return found->second;
  std::string known;
  for (const auto& [name, rates] : machine.rates) known += (known.empty() ? "" : ", ") + name;
  base::fail(base::Exit::config, fmt::format("machine '{}' has no rates for {}, only for: {}; add them or choose "
                                             "another --dtype",
                                             machine.name, tensor::name_of(dtype), known));
}

Machine ordinary_cpu(int cores) {
  Machine machine;
  machine.name = fmt::format("{} cores", cores);
  machine.cores = cores;
  machine.base_memory = std::int64_t{30} << 20;
  machine.rates["bf16"] = {Curve(0.42e12 * cores), Curve(0.42e12 * cores), Curve(0.12e12 * cores)};
  machine.rates["int8"] = {Curve(0.75e12 * cores), Curve(0.42e12 * cores), Curve(0.12e12 * cores)};
  machine.rates["f32"] = {Curve(0.21e12 * cores), Curve(0.21e12 * cores), Curve(0.06e12 * cores)};
  machine.elementwise = 12e9 * cores;
  machine.inside = {20e-6, 3e9};
  machine.between = {50e-6, 2e9};
  machine.storage_read = machine.storage_read_node = machine.storage_write = 1e9;
  return machine;
}

Machine ordinary_gpu(int devices) {
  Machine machine;
  machine.name = fmt::format("{} GPUs", devices);
  machine.device = "cuda";
  machine.devices = devices;
  machine.base_memory = std::int64_t{512} << 20;
  machine.tokens_per_batch = 16384;
  machine.rates["bf16"] = {Curve({{2048, 680e12}, {4096, 720e12}}), Curve(680e12),
                           Curve({{512, 315e12}, {8192, 644e12}})};
  machine.rates["f32"] = {Curve(50e12), Curve(50e12), Curve(25e12)};
  machine.narrow_heads = 0.65;
  machine.elementwise = 2.7e12;
  machine.shard_efficiency = {1, 0.98, 0.95, 0.9};
  machine.copy = machine.copy_node = 25e9;
  machine.inside = {30e-6, 20e9};
  machine.between = {50e-6, 10e9};
  machine.storage_read = machine.storage_read_node = machine.storage_write = 1e9;
  return machine;
}

}  // namespace thresher::schedule
