// The end of the model: norm, the streamed head over the ids that this shard holds, and the merge of all shards'.
#pragma once

#include "model/linear.h"
#include "thresher/model/transformer.h"

namespace thresher::model {

struct Head {
  Vector norm;
  std::unique_ptr<device::Weight> weight;
  std::int64_t first_id = 0;
  std::vector<std::int64_t> cuts;  // segments of the ids that are here, as device::ScoreQuestion wants them

  // Bytes on the device that a batch takes of the arena, without the rows that it scores.
  static std::int64_t scratch_bytes(const Capacity& capacity);
  // Those rows, of a model with products in `dtype`, whatever its head is in.
  static std::int64_t rows_bytes(const ModelConfig& config, tensor::DType dtype, const Capacity& capacity);
};

// What a batch asks of the head: about rows `rows` (i32) of the residual, against `targets` (i32).
struct HeadQuestion {
  tensor::Tensor residual, rows, targets;
  tensor::Tensor host_targets;  // the same on the host, until `finish`
  tensor::Tensor hidden;        // scored rows x width, the head's alone until `finish`
  std::int32_t top_k = 0;
};

// One batch after another on its way through the head: `begin` queues everything, `finish` makes the scores of what
// came back to the host.
class Scoring {
 public:
  // Host memory for the answers. All must outlive this.
  Scoring(device::Device& device, comm::Comm& tensor, const Head& head, const Capacity& capacity);

  // Collective over pass.sums.
  void begin(const Pass& pass, const HeadQuestion& question);
  // After the device is done with it. Every shard gets all of `out`. Collective over `tensor`.
  void finish(ScoredTokens& out);

 private:
  struct Answer;
  void ask();
  void ask_again(const std::vector<std::uint32_t>& expected);
  Answer answer();
  void merge_with_others(Answer& answer);

  device::Device& device_;
  comm::Comm& tensor_;
  const Head& head_;
  tensor::Arena arena_;  // on the host
  HeadQuestion question_;
  device::ScoreParts parts_, host_parts_;
  tensor::Tensor expected_, host_expected_;  // the targets' logits, f32
};

}  // namespace thresher::model
