// From a graph to something that runs: cuDNN's engines, and a plan of one of them.
#pragma once

#include "device/cuda/attention_choice.h"
#include "device/cuda/cudnn/graph.h"

namespace thresher::device::cuda::cudnn {

// The GPU that this process uses as its number `gpu`, and one that need not be there, in cuDNN's own JSON.
Descriptor machine(int gpu);
Descriptor machine(const std::string& json);

// What cuDNN suggests for the graph with all settings said, the best first, each once; nothing where it has no engine.
std::vector<Engine> engines(const Graph& graph);

class Plan {
 public:
  // Compiles: up to a second. Throws base::Error (os), where the engine does not serve the graph too.
  Plan(const Graph& graph, const Engine& engine);

  std::int64_t workspace() const { return workspace_; }  // bytes
  const Descriptor& descriptor() const { return plan_; }

 private:
  Descriptor plan_;
  std::int64_t workspace_ = 0;
};

}  // namespace thresher::device::cuda::cudnn
