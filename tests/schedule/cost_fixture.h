// A job and a machine in round numbers.
#pragma once

#include "thresher/model/make_model.h"
#include "thresher/schedule/cost.h"

namespace thresher::schedule {

inline Demand small_demand() {
  model::MakeModel shape;
  shape.layers = 8;
  shape.hidden = 256;
  shape.intermediate = 1024;
  shape.query_heads = 8;
  shape.kv_heads = 4;
  shape.head_size = 32;
  shape.vocabulary = 8192;
  Demand demand;
  demand.config = model::parse_config(model::config_text(shape), "config.json");
  demand.tokens_per_batch = 1000;
  const LengthClass lengths[] = {{50, 2e5}, {400, 1e5}, {3000, 1e3}};
  demand.load = load_of(lengths, {.window = 512, .stride = 256}, 1, 2.5e8);
  return demand;
}

inline Machine round_machine() {
  Machine machine;
  machine.name = "round";
  machine.cores = 16;
  machine.node_memory = std::int64_t{1} << 34;
  machine.base_memory = 1 << 26;
  machine.rates["bf16"] = {Curve(1e9), Curve(2e9), Curve(5e8)};
  machine.elementwise = 1e9;
  machine.inside = {1e-5, 1e9};
  machine.between = {1e-4, 1e8};
  machine.storage_read = machine.storage_read_node = machine.storage_write = 1e9;
  machine.device_watts = 100;
  machine.node_watts = 50;
  return machine;
}

}  // namespace thresher::schedule
