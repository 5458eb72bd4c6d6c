#include "device/cuda/cudnn/plan.h"

#include <algorithm>

namespace thresher::device::cuda::cudnn {
namespace {

constexpr std::int64_t most_engines = 32, most_knobs = CUDNN_KNOB_TYPE_COUNTS;

Engine engine_of(const Descriptor& config) {
  Engine engine;
  const auto chosen = config.descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  engine.index = chosen.at(0).value<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  for (const Descriptor& knob :
       config.descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, most_knobs))
    engine.knobs.push_back({knob.value<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE),
                            knob.value<std::int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE)});
  return engine;
}

}  // namespace

Descriptor machine(int gpu) {
  Descriptor machine(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  machine.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, static_cast<std::int32_t>(gpu)).finish("describing the GPU");
  return machine;
}

Descriptor machine(const std::string& json) {
  Descriptor machine(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  machine
      .set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::vector<char>(json.c_str(), json.c_str() + json.size() + 1))
      .finish("describing a GPU");
  return machine;
}

std::vector<Engine> engines(const Graph& graph) {
  std::vector<Engine> found;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    Descriptor question(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    question.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.descriptor())
        .set(CUDNN_ATTR_ENGINEHEUR_MODE, mode)
        .set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, graph.machine());
    const cudnnStatus_t status = question.try_finish();
    if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) continue;
    check(status, "asking for engines");
    for (const Descriptor& config :
         question.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, most_engines)) {
      const Engine engine = engine_of(config);
      // Without settings an engine would choose them itself, by the shape.
      if (!engine.knobs.empty() && std::ranges::find(found, engine) == found.end()) found.push_back(engine);
    }
  }
  return found;
}

Plan::Plan(const Graph& graph, const Engine& engine) : plan_(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
  Descriptor chosen(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  chosen.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph.descriptor())
      .set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, engine.index)
      .set(CUDNN_ATTR_ENGINE_DEVICEPROP, graph.machine())
      .finish("choosing an engine");
  std::vector<Descriptor> knobs;
  for (const Engine::Knob& knob : engine.knobs)
    knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR)
        .set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, static_cast<cudnnBackendKnobType_t>(knob.kind))
        .set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, knob.value)
        .finish("setting an engine's knob");
  Descriptor config(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  config.set(CUDNN_ATTR_ENGINECFG_ENGINE, chosen)
      .set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, std::span<const Descriptor>(knobs))
      .finish("setting an engine");
  plan_.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config)
      .set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, graph.machine())
      .finish("compiling attention");
  workspace_ = plan_.value<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
}

}  // namespace thresher::device::cuda::cudnn
