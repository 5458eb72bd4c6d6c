// Scores shards: windows of many documents share batches, rows of a shard come out when its last window is done.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "thresher/engine/encode.h"
#include "thresher/engine/families.h"
#include "thresher/engine/pack.h"
#include "thresher/engine/stage.h"
#include "thresher/engine/window.h"
#include "thresher/store/result.h"

namespace thresher::engine {

struct ScoreOptions {
  std::int64_t tokens_per_batch = 0;
  WindowRule rule;
  store::Columns columns;
  std::vector<TokenId> lead, bare_lead;  // as in EncodePolicy
  bool share_prefixes = true;            // windows that begin alike compute their common rows once, where that can be
};

// Counts over the task's life.
struct ScoreCounts {
  std::int64_t batches = 0;
  std::int64_t tokens_fed = 0;     // rows through the blocks
  std::int64_t tokens_shared = 0;  // that would have been fed if no two windows had rows in common
  std::int64_t tokens_scored = 0;
  std::int64_t rows_scored = 0;  // rows through the head: less where windows ask the same of a row
  double visible_keys = 0;       // (query, key) pairs of full attention, for the work done
};

class BatchBuilder;

// One thread. A document's numbers depend on the document alone, whatever else is in the task.
class ScoreTask {
 public:
  // The stage leads its replica, and outlives this.
  ScoreTask(Stage& stage, ScoreOptions options);
  static bool can_share_prefixes(const model::ModelConfig& config, const device::Device& device);
  ~ScoreTask();

  // Takes a shard; its windows wait for a batch.
  void add(EncodedShard shard);

  // True while another shard would make fuller batches.
  bool hungry() const;
  // Shards are running out: from now on takes no more than it needs at once.
  void spare() { scarce_ = true; }
  // True if nothing waits.
  bool idle() const;
  // Sends one batch into the pipeline, if one is full enough or `drain` says that nothing more will come; takes the
  // scores of one where the pipeline is full, or nothing is left to send. Does neither where it is hungry.
  void step(bool drain);
  // The end is near: drops shards, the last ones first, until what has to be fed for the others is at most `tokens`.
  // Those that only wait for scores of batches under way stay.
  void keep(std::int64_t tokens);
  // As Stage::settle.
  void settle() { stage_.settle(); }
  // Shards that are complete since the last call.
  std::vector<store::Rows> take_finished();

  const ScoreCounts& counts() const { return counts_; }

 private:
  struct ShardScores;
  struct PendingWindow {
    std::shared_ptr<ShardScores> shard;
    std::int64_t item = 0;
    Window window;
    std::int64_t inherited = 0;  // in a batch: first tokens that are those of the window before it
  };
  using Batch = std::vector<PendingWindow>;
  struct Flight {
    Batch batch;
    std::vector<std::int32_t> entries;  // see BatchBuilder::take_entries
  };

  std::int64_t wanted() const;
  void pull_windows();
  void group(bool drain);
  void submit(Batch batch);
  void take_scores();
  void store_scores(const Flight& flight);
  std::map<std::int64_t, std::int64_t> unfed() const;
  void drop_windows(std::vector<PendingWindow>& windows) const;
  std::vector<Family> find_families() const;
  void finish(ShardScores& scores);
  void append_tokens(const ShardScores& scores, std::size_t begin, std::size_t end, store::Rows& rows) const;
  std::int64_t fed(const PendingWindow& pending) const;
  FedTokens fed_tokens(const PendingWindow& pending) const;
  std::int64_t fed_after_last(const PendingWindow& pending) const;
  const std::vector<TokenId>& lead_of(const EncodedShard::Item& item) const;

  Stage& stage_;
  const ScoreOptions options_;
  const bool feed_last_;  // dynamic rope scaling looks at the window's length, last token included
  const bool sharing_;
  std::deque<std::shared_ptr<ShardScores>> waiting_;  // with windows not pulled yet
  std::vector<PendingWindow> pool_;                   // pulled, not grouped
  std::int64_t pool_tokens_ = 0;
  bool scarce_ = false;
  std::deque<Batch> batches_;     // to be sent
  std::deque<Flight> under_way_;  // in the pipeline
  std::vector<store::Rows> finished_;
  std::unique_ptr<BatchBuilder> builder_;
  model::ScoredTokens scored_;
  ScoreCounts counts_;
};

}  // namespace thresher::engine
