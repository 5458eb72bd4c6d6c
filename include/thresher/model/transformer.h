// One transformer: packed tokens in, numbers about each scored token out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/base/hash.h"
#include "thresher/device/device.h"
#include "thresher/model/config.h"

namespace thresher::model {

// A packed batch on the host. Sequence i holds tokens [starts[i], starts[i + 1]) and restarts positions at 0. The
// number that scores a token stands in the row before it: row scored_rows[j] predicts targets[j]; scored_rows ascend.
struct PackedBatch {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> starts{0};
  std::vector<std::int32_t> scored_rows;
  std::vector<std::int32_t> targets;
};

// One entry per scored row, in their order.
struct ScoredTokens {
  std::vector<float> logprob;
  std::vector<std::int32_t> rank;
  std::vector<float> entropy;
  std::vector<std::int32_t> top_id;  // rows x top_k
  std::vector<float> top_logprob;
};

// The greatest batch that will come.
struct Capacity {
  std::int64_t tokens = 0;   // rows of a batch
  std::int64_t longest = 0;  // tokens of one sequence
  std::int32_t top_k = 0;
};

struct LoadReport {
  double seconds = 0;
  std::int64_t bytes_read = 0;
  std::int64_t weight_bytes = 0;  // packed, on the device
  base::Digest digest;            // of config.json and every tensor: the model's content identity
};

class Transformer {
 public:
  // Loads the model from a Hugging Face directory: every tensor's name, shape and dtype is checked, one tensor at a
  // time is in host memory. `dtype` (f32 or bf16) is what products are computed in. The device must outlive this.
  // Throws base::Error: no_input, data, config, os.
  Transformer(device::Device& device, base::FileSystem& files, const base::Path& model_directory,
              const ModelConfig& config, tensor::DType dtype, const Capacity& capacity);
  ~Transformer();
  Transformer(const Transformer&) = delete;

  // Scores one batch of at most capacity.tokens tokens; allocates nothing once `out` has grown.
  void score(const PackedBatch& batch, ScoredTokens& out);

  // Makes room for sequences of `longest` tokens where there is none yet: memory is planned from the corpus's bytes,
  // and a few tokenizers make more tokens of a text than it has bytes.
  void grow(std::int64_t longest);

  const ModelConfig& config() const;
  const LoadReport& load_report() const;
  // Bytes of activations and scratch that a batch uses.
  std::int64_t arena_bytes() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace thresher::model
