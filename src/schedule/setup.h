// Everything one rank needs to score: its part of the model on the device, and where it leads a replica the corpus and
// the tokenizer; and the choices made.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "schedule/survey.h"
#include "schedule/threads.h"
#include "thresher/base/metrics.h"
#include "thresher/comm/grid.h"
#include "thresher/comm/nccl.h"
#include "thresher/device/tracing.h"
#include "thresher/engine/encode.h"
#include "thresher/engine/stage.h"
#include "thresher/engine/window.h"
#include "thresher/model/transformer.h"
#include "thresher/schedule/job.h"
#include "thresher/store/document.h"
#include "thresher/store/result.h"
#include "thresher/text/tokenizer.h"

namespace thresher::schedule {

// The job's options with every default chosen.
struct Choices {
  tensor::DType dtype = tensor::DType::bf16;
  std::int64_t tokens_per_batch = 0;
  engine::WindowRule rule;
  store::Columns columns;
  bool sharded = false;
};

// Throws base::Error (config).
Choices choose(const Job& job, const model::ModelConfig& config, const Survey& survey);

// This rank among the others.
struct Seat {
  const comm::Grid& grid;
  const Threads& threads;
  int gpu = 0;                  // this rank's, with --device cuda
  bool nccl = false;            // how this rank's GPU exchanges with those of its replica
  comm::Comm* peers = nullptr;  // as model::StageOptions::peers
  std::string algorithms = {};  // of an earlier start, with --device cuda

  bool leads() const { return grid.place().stage == 0 && grid.place().shard == 0; }
};

// Whether one rank reads the model for its peers.
bool load_by_broadcast(const Job& job, const comm::Grid& grid, std::span<const std::string> hosts);

class Setup {
 public:
  // Loads. Throws base::Error (this rank's alone: agree about it). Collective over seat.peers, and with
  // seat.nccl over the replica.
  Setup(const Job& job, const Survey& survey, const Seat& seat);

  store::Source& corpus() { return *corpus_; }  // leaders
  const Choices& choices() const { return choices_; }
  const engine::EncodePolicy& policy() const { return policy_; }  // leaders
  model::Transformer& transformer() { return *transformer_; }
  device::TracingDevice& device() { return *device_; }
  engine::StageOptions stage_options() const;
  // The same part of the model with products in another dtype, in place of the one that was there; read by this rank.
  // Not with NCCL.
  void load_again(const Job& job, tensor::DType dtype);
  device::Device& plain_device() { return *plain_device_; }  // inside of it
  const model::ModelConfig& config() const { return config_; }
  // How long each step took and waited for streamed layers, and what was loaded: after the last step.
  void record(base::Metrics& metrics) const;
  // Values that change the results' bytes: those of the machine, which are the same on all ranks, and all of them, at a
  // leader. `model` is the model's identity.
  std::map<std::string, std::string> machine_values() const;
  std::map<std::string, std::string> plan_values(const Survey& survey, const Job& job, const std::string& model) const;

 private:
  void choose_tokens(const Job& job);
  void load_model(const Job& job, const Survey& survey, const Seat& seat);
  // Larger batches where a rank of the replica will stream layers. Collective over the replica.
  void size_batches(const std::optional<model::StreamDemand>& demand, const Seat& seat, model::StageOptions& options);
  void foresee_waiting(const std::optional<model::StreamDemand>& demand, std::int64_t tokens);

  model::ModelConfig config_;
  Choices choices_;
  std::unique_ptr<store::Source> corpus_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  engine::EncodePolicy policy_;
  std::unique_ptr<device::Device> plain_device_;
  std::unique_ptr<device::TracingDevice> device_;
  std::unique_ptr<comm::DeviceSums> sums_;  // with NCCL, as the pipes
  comm::NcclPipes pipes_;
  model::StageOptions loaded_;  // what the transformer was made with
  std::unique_ptr<model::Transformer> transformer_;
  double foreseen_waiting_ = 0;  // for streamed layers, a share of this rank's time
};

}  // namespace thresher::schedule
