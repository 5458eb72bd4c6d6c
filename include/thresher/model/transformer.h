// One transformer: packed tokens in, numbers about each scored token out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/base/file.h"
#include "thresher/base/hash.h"
#include "thresher/comm/comm.h"
#include "thresher/comm/device_sums.h"
#include "thresher/device/device.h"
#include "thresher/model/config.h"
#include "thresher/model/partition.h"
#include "thresher/model/streaming.h"

namespace thresher::model {

// A packed batch on the host. Sequence i holds tokens [starts[i], starts[i + 1]) and restarts positions at 0. The
// number that scores a token stands in the row before it: row scored_rows[j] predicts targets[j]. A row may be asked
// about several targets.
//
// Where `inherited` is not empty, sequence i begins with the first inherited[i] tokens of sequence i - 1, which may
// have inherited them itself, and tokens [starts[i], starts[i + 1]), perhaps none, come after them: they are computed
// as if all stood there. Of devices that share prefixes and models whose angles do not depend on a sequence's length.
struct PackedBatch {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> starts{0};
  std::vector<std::int32_t> scored_rows;
  std::vector<std::int32_t> targets;
  std::vector<std::int32_t> inherited = {};

  std::int64_t sequences() const { return static_cast<std::int64_t>(starts.size()) - 1; }
  // Tokens of sequence i, inherited ones included.
  std::int64_t length(std::int64_t i) const {
    const auto at = static_cast<std::size_t>(i);
    return starts[at + 1] - starts[at] + (inherited.empty() ? 0 : inherited[at]);
  }
  std::int64_t longest() const;
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
  std::int64_t bytes_read = 0;    // from files, by this rank
  std::int64_t weight_bytes = 0;  // packed, on the device
  int layers = 0;                 // of which at least half is this rank's
  int streamed_layers = 0;        // of them: on the host, brought to the device in each batch
  std::int64_t streamed_bytes = 0;
  std::string contents;  // what was read, for `identity`
};

// What to load, and for what.
struct StageOptions {
  tensor::DType dtype = tensor::DType::bf16;  // of the layers' products: f32, bf16 or i8; see precision.h
  bool int8_head = false;                     // with i8: the head's too
  Capacity capacity;
  std::optional<Part> part = {};  // default: the whole model
  comm::Comm* tensor = nullptr;   // the part's shards, by rank; needed for more than one
  // Over the same ranks and for this device; null: by way of the host.
  comm::DeviceSums* sums = nullptr;
  // Ranks that load the same part: the first of them reads and the others hear from it. Null: this rank reads.
  comm::Comm* peers = nullptr;
  Streaming streaming = Streaming::automatic;
};

// Where a part's residual stream comes from and where it goes: calls of `begin` with the f32 tensor on the device,
// tokens x hidden, that queue copies there or do them. What is not needed may be empty.
struct Boundary {
  std::function<void(const tensor::Tensor& residual)> fill;     // of a part that does not embed
  std::function<void(const tensor::Tensor& residual)> pass_on;  // of a part that does not score
};

// Thrown where the rank that reads for this one failed: a consequence, not the error to report.
class ReaderFailed : public base::Error {
 public:
  using Error::Error;
};

// A transformer, or the part of it that one rank of a replica holds. One batch after another goes through the stages;
// the shards of a stage work on it together.
class Transformer {
 public:
  // Loads this rank's part from a Hugging Face directory: every tensor's name, shape and dtype is checked, only what
  // the part needs is read, and one tensor at a time is in host memory. Device and communicators must outlive this.
  // Throws base::Error (no_input, data, config, os, io) or ReaderFailed. Collective over options.peers.
  Transformer(device::Device& device, base::FileSystem& files, const base::Path& model_directory,
              const ModelConfig& config, const StageOptions& options);
  ~Transformer();
  Transformer(const Transformer&) = delete;

  // One batch of at most capacity.tokens tokens through this part. `begin` gives it to the device's queue and returns,
  // with all the work done where the device is the host. Collective over options.tensor and options.sums. `take` waits
  // for the oldest batch under way, whose scores it gives (none of a part that does not score): not collective.
  void begin(const PackedBatch& batch, const Boundary& boundary);
  void take(ScoredTokens& scores);
  bool done();            // the oldest batch under way is, or there is none: `take` will not wait
  int under_way() const;  // batches begun and not taken
  int room() const;       // so many of them at most: 1 where the device is the host, else 2
  bool full() const { return under_way() == room(); }
  // Of the whole model, with no batch under way.
  void score(const PackedBatch& batch, ScoredTokens& scores) {
    begin(batch, {});
    take(scores);
  }

  // A tiny batch through this part, whose results nobody sees: what happens at a step's first call has happened then.
  // Collective over options.tensor.
  void rehearse();

  // Makes room for sequences of `longest` tokens where there is none yet: memory is planned from the corpus's bytes,
  // and a few tokenizers make more tokens of a text than it has bytes. Waits for the batches under way, if it does.
  void grow(std::int64_t longest);

  device::Device& device() const;
  const ModelConfig& config() const;
  const Capacity& capacity() const;  // as grown until now
  const Part& part() const;
  const LoadReport& load_report() const;
  // Seconds that sums over the other shards took, waiting for them included.
  double reduce_seconds() const;
  // Bytes of activations and scratch that a batch uses.
  std::int64_t arena_bytes() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// The content identity of a model, from what all ranks of a replica read of it: of config.json and every tensor,
// whatever the layout, and the division into files. Throws base::Error: data (ranks read different values), config (a
// head that is said to be tied, and is not).
base::Digest identity(base::FileSystem& files, const base::Path& model_directory, const ModelConfig& config,
                      std::span<const std::string> contents);

// Bytes that the activations of such a part take on the device, for the greatest batch and so many under way at once.
std::int64_t activation_bytes(const ModelConfig& config, const Part& part, tensor::DType dtype,
                              const Capacity& capacity, int under_way);

}  // namespace thresher::model
