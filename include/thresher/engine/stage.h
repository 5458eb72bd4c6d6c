// One rank's place in the pipeline of its replica: hidden states come in, go through this rank's blocks and on.
//
// The first rank (stage 0, shard 0) leads: it holds the documents, sends batches in, and gets their scores back, 12
// bytes a token, so that a shard's rows are made where its texts are. Every rank passes its own copy of the residual
// stream to its counterpart of the next stage. Batches stream: only the first and the last ones of a job find stages
// idle.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "thresher/base/activity.h"
#include "thresher/comm/device_pipe.h"
#include "thresher/comm/grid.h"
#include "thresher/model/transformer.h"

namespace thresher::engine {

// Seconds of a stage's life, and what went through it.
struct StageTimes {
  double computing = 0;       // in the transformer, waiting for the device and for other shards included
  double waiting_before = 0;  // for the stage before (at the leader: for scores)
  double waiting_after = 0;   // for room towards the stage after
  std::int64_t batches = 0;
};

struct StageOptions {
  std::int64_t tokens_per_batch = 0;  // what the pipes' buffers are made for; longer batches go in pieces
  std::int32_t top_k = 0;
  // Towards the neighbours where devices exchange the residual stream themselves; null: it goes by way of the hosts.
  // Both sides of a boundary have it, or neither.
  comm::DeviceInlet* before = nullptr;
  comm::DeviceOutlet* after = nullptr;
};

class Stage {
 public:
  // Pairwise between neighbours: all ranks of grid.replica() make one. All arguments must outlive this; `activity` is
  // that of the thread that calls.
  Stage(model::Transformer& transformer, const comm::Grid& grid, const StageOptions& options, base::Activity& activity);
  ~Stage();

  bool leads() const;

  // The leader's side. Batches of at least one scored row; their scores come in the order of the batches.
  bool full() const;  // as many batches under way as keep all stages, and their devices, busy
  void submit(const model::PackedBatch& batch);
  void take(model::ScoredTokens& scores);
  // Afterwards this stage's work on the batches under way is done, so that the calling thread may do other things for
  // long.
  void settle();
  // No more batches. After the last scores were taken.
  void close();

  // Everybody else's: passes batches on until the leader closes.
  void follow();

  StageTimes times() const;
  model::Transformer& transformer() const;

 private:
  struct Links;
  struct Flight;
  void begin(const model::PackedBatch& batch, std::span<const float> in);
  model::Boundary boundary(std::span<const float> in, const Flight& flight);
  void announce(const model::PackedBatch& batch);
  std::span<float> open(const model::PackedBatch& batch);
  void hand_on();
  void hand_on_if_done();

  model::Transformer& transformer_;
  base::Activity& activity_;
  std::unique_ptr<Links> links_;
  model::ScoredTokens scores_;
  StageTimes times_;
  std::int64_t under_way_ = 0;  // submitted and not taken
};

}  // namespace thresher::engine
