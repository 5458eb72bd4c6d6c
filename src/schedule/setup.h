// Everything one rank needs to score: the corpus, the tokenizer, the device, the model, and the choices made.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "schedule/survey.h"
#include "thresher/device/tracing.h"
#include "thresher/engine/encode.h"
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
  int threads = 1;
  std::int64_t tokens_per_batch = 0;
  engine::WindowRule rule;
  store::Columns columns;
};

class Setup {
 public:
  // Loads. `local_ranks` share this host. Throws base::Error (this rank's alone: agree about it).
  Setup(const Job& job, const Survey& survey, int local_ranks);

  store::Source& corpus() { return *corpus_; }
  const Choices& choices() const { return choices_; }
  const engine::EncodePolicy& policy() const { return policy_; }
  model::Transformer& transformer() { return *transformer_; }
  device::TracingDevice& device() { return *device_; }
  const model::ModelConfig& config() const { return config_; }
  // Values that change the results' bytes: the plan, but for the shards.
  std::map<std::string, std::string> plan_values(const Survey& survey, const Job& job) const;

 private:
  void choose_tokens(const Job& job);
  void choose_windows(const Job& job);

  model::ModelConfig config_;
  Choices choices_;
  std::unique_ptr<store::Source> corpus_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  engine::EncodePolicy policy_;
  std::unique_ptr<device::Device> plain_device_;
  std::unique_ptr<device::TracingDevice> device_;
  std::unique_ptr<model::Transformer> transformer_;
};

}  // namespace thresher::schedule
