#include "thresher/engine/score_task.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "engine/batch_builder.h"

namespace thresher::engine {
namespace {

// Windows are gathered until they would fill this many batches, so that best fit has a choice; fewer where what one
// replica has taken is what another one lacks.
constexpr std::int64_t far_ahead = 8, near_ahead = 2;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

// A shard on its way through the model. Scores are kept per token of the document, so that windows may be done in any
// order and sums are always taken in the document's order.
struct ScoreTask::ShardScores {
  EncodedShard shard;
  std::vector<float> logprob, entropy;
  std::vector<std::int32_t> rank, top_id;
  std::vector<float> top_logprob;
  std::vector<std::int64_t> scored_from;  // per item: the first token with a score
  std::int64_t next_item = 0;             // whose windows are pulled next
  std::optional<WindowCutter> cutter;     // of next_item, when it is part done
  std::int64_t windows_out = 0;           // pulled and not done
  bool pulled = false;                    // no more windows to pull
  bool dropped = false;                   // nobody wants its rows any more
};

ScoreTask::ScoreTask(Stage& stage, ScoreOptions options)
    : stage_(stage),
      options_(std::move(options)),
      feed_last_(stage.transformer().config().rope.kind == model::RopeKind::dynamic),
      sharing_(options_.share_prefixes &&
               can_share_prefixes(stage.transformer().config(), stage.transformer().device())),
      builder_(std::make_unique<BatchBuilder>()) {}

ScoreTask::~ScoreTask() = default;

// The angles of the dynamic kind depend on how a sequence goes on.
bool ScoreTask::can_share_prefixes(const model::ModelConfig& config, const device::Device& device) {
  return config.rope.kind != model::RopeKind::dynamic && device.shares_prefixes();
}

void ScoreTask::add(EncodedShard shard) {
  auto scores = std::make_shared<ShardScores>();
  const std::size_t tokens = shard.tokens.size();
  const auto top_k = static_cast<std::size_t>(options_.columns.top_k);
  scores->logprob.resize(tokens);
  if (options_.columns.per_token || shard.pairs) scores->rank.resize(tokens);
  if (options_.columns.per_token) scores->entropy.resize(tokens);
  scores->top_id.resize(tokens * top_k);
  scores->top_logprob.resize(tokens * top_k);
  scores->scored_from.resize(static_cast<std::size_t>(shard.count()));
  scores->shard = std::move(shard);
  waiting_.push_back(std::move(scores));
}

std::int64_t ScoreTask::wanted() const {
  return (scarce_ ? near_ahead : far_ahead) * options_.tokens_per_batch;
}

bool ScoreTask::hungry() const {
  return batches_.empty() && waiting_.empty() && pool_tokens_ < wanted();
}

bool ScoreTask::idle() const {
  return batches_.empty() && waiting_.empty() && pool_.empty() && under_way_.empty();
}

std::vector<store::Rows> ScoreTask::take_finished() {
  return std::exchange(finished_, {});
}

const std::vector<TokenId>& ScoreTask::lead_of(const EncodedShard::Item& item) const {
  return item.bare ? options_.bare_lead : options_.lead;
}

std::int64_t ScoreTask::fed(const PendingWindow& pending) const {
  const auto& item = pending.shard->shard.items[static_cast<std::size_t>(pending.item)];
  const auto lead = static_cast<std::int64_t>(lead_of(item).size());
  return pending.window.end - pending.window.begin + (pending.window.lead ? lead : 0) + (feed_last_ ? 1 : 0);
}

FedTokens ScoreTask::fed_tokens(const PendingWindow& pending) const {
  const EncodedShard& shard = pending.shard->shard;
  const auto at = static_cast<std::size_t>(pending.item);
  const TokenId* tokens = shard.tokens.data() + shard.offsets[at];
  const Window& window = pending.window;
  FedTokens fed;
  if (window.lead) fed.lead = lead_of(shard.items[at]);
  fed.body = {tokens + window.begin, tokens + window.end + (feed_last_ ? 1 : 0)};
  return fed;
}

// What a window adds to the pool: windows that begin alike mostly come one after another. Never nothing, so that what
// the pool holds is bounded.
std::int64_t ScoreTask::fed_after_last(const PendingWindow& pending) const {
  const std::int64_t all = fed(pending);
  if (!sharing_ || pool_.empty()) return all;
  const std::int64_t common = common_tokens(fed_tokens(pool_.back()), fed_tokens(pending));
  return common < least_shared ? all : std::max(all - common + 1, all / 16);
}

// As many as are wanted, and those that begin like the last of them, as far as one batch has room.
void ScoreTask::pull_windows() {
  const std::int64_t room = sharing_ ? stage_.transformer().capacity().tokens : 0;
  bool alone = false;
  while (!waiting_.empty() && (pool_tokens_ < wanted() || (!alone && pool_tokens_ < room))) {
    const auto scores = waiting_.front();
    EncodedShard& shard = scores->shard;
    if (scores->next_item == shard.count()) {
      scores->pulled = true;
      waiting_.pop_front();
      if (scores->windows_out == 0) finish(*scores);
      continue;
    }
    const std::int64_t i = scores->next_item;
    auto& item = shard.items[static_cast<std::size_t>(i)];
    if (!scores->cutter) {
      const std::int64_t length = item.status == store::Status::rejected ? 0 : shard.length(i);
      const auto lead = static_cast<std::int64_t>(lead_of(item).size());
      scores->cutter.emplace(options_.rule, Extent{length, lead, item.score_from, shard.pairs});
      scores->scored_from[static_cast<std::size_t>(i)] = length - scores->cutter->scored();
      if (item.status == store::Status::ok && scores->cutter->scored() == 0) item.status = store::Status::empty;
      if (item.status == store::Status::ok && scores->cutter->several()) item.status = store::Status::windowed;
    }
    Window window;
    if (scores->cutter->next(window)) {
      PendingWindow pending{scores, i, window};
      const std::int64_t more = fed_after_last(pending);
      alone = pool_tokens_ >= wanted() && more == fed(pending);
      pool_tokens_ += more;
      pool_.push_back(std::move(pending));
      ++scores->windows_out;
    } else {
      scores->cutter.reset();
      ++scores->next_item;
    }
  }
}

std::vector<Family> ScoreTask::find_families() const {
  std::vector<Family> found;
  if (!sharing_) {
    for (std::size_t i = 0; i < pool_.size(); ++i)
      found.push_back({{{static_cast<std::int32_t>(i), 0}}, fed(pool_[i])});
    return found;
  }
  std::vector<FedTokens> sequences;
  for (const PendingWindow& pending : pool_) sequences.push_back(fed_tokens(pending));
  return families(sequences, {options_.tokens_per_batch, stage_.transformer().capacity().tokens});
}

// Groups the pool into batches. Those that are not nearly full wait for more windows, unless nothing more will come or
// none is nearly full (windows of 60 % of the budget never share one).
void ScoreTask::group(bool drain) {
  const std::vector<Family> families = find_families();
  std::vector<std::int32_t> rows;
  for (const Family& family : families) rows.push_back(static_cast<std::int32_t>(family.rows));
  const auto groups = pack(rows, options_.tokens_per_batch);
  const auto is_full = [&](const PackedGroup& packed) { return packed.tokens * 100 >= options_.tokens_per_batch * 97; };
  const bool all = drain || std::none_of(groups.begin(), groups.end(), is_full);
  std::vector<PendingWindow> rest;
  pool_tokens_ = 0;
  for (const PackedGroup& packed : groups) {
    const bool full = all || is_full(packed);
    Batch batch;
    for (const std::int32_t index : packed.members)
      for (const auto& [member, inherited] : families[static_cast<std::size_t>(index)].members) {
        batch.push_back(std::move(pool_[static_cast<std::size_t>(member)]));
        batch.back().inherited = inherited;
      }
    if (full) {
      batches_.push_back(std::move(batch));
    } else {
      std::move(batch.begin(), batch.end(), std::back_inserter(rest));
      pool_tokens_ += packed.tokens;
    }
  }
  pool_ = std::move(rest);
}

void ScoreTask::step(bool drain) {
  if (batches_.empty()) {
    pull_windows();
    const bool last = drain && waiting_.empty();
    if (last || pool_tokens_ >= wanted()) group(last);
  }
  // The pipeline is not drained for want of input that is there to be had.
  if (batches_.empty() && !drain) return;
  if (batches_.empty() || stage_.full()) return take_scores();
  Batch batch = std::move(batches_.front());
  batches_.pop_front();
  submit(std::move(batch));
}

// Tokens that are still to be fed, by shard.
std::map<std::int64_t, std::int64_t> ScoreTask::unfed() const {
  std::map<std::int64_t, std::int64_t> tokens;
  for (const PendingWindow& pending : pool_) tokens[pending.shard->shard.shard] += fed(pending);
  for (const Batch& batch : batches_)
    for (const PendingWindow& pending : batch) tokens[pending.shard->shard.shard] += fed(pending);
  for (const auto& scores : waiting_) {
    const EncodedShard& shard = scores->shard;
    const auto first = static_cast<std::size_t>(scores->next_item);
    tokens[shard.shard] += static_cast<std::int64_t>(shard.offsets.back() - shard.offsets[first]);
  }
  return tokens;
}

// A window inherits from the one before it, which is another one then: they have in common what all between them have.
void ScoreTask::drop_windows(std::vector<PendingWindow>& windows) const {
  constexpr std::int64_t all = std::numeric_limits<std::int64_t>::max();
  std::int64_t common = all;
  for (PendingWindow& pending : windows) {
    common = pending.inherited = std::min(common, pending.inherited);
    if (!pending.shard->dropped) common = all;
  }
  std::erase_if(windows, [](const PendingWindow& pending) { return pending.shard->dropped; });
}

void ScoreTask::keep(std::int64_t tokens) {
  std::set<std::int64_t> dropped;
  for (const auto& [shard, unfed] : unfed()) {
    if (unfed > tokens)
      dropped.insert(shard);
    else
      tokens -= unfed;
  }
  const auto mark = [&](ShardScores& scores) { scores.dropped |= dropped.contains(scores.shard.shard); };
  for (const auto& scores : waiting_) mark(*scores);
  for (const PendingWindow& pending : pool_) mark(*pending.shard);
  for (const Batch& batch : batches_)
    for (const PendingWindow& pending : batch) mark(*pending.shard);
  for (const Flight& flight : under_way_)
    for (const PendingWindow& pending : flight.batch) mark(*pending.shard);
  std::erase_if(waiting_, [](const auto& scores) { return scores->dropped; });
  drop_windows(pool_);
  pool_tokens_ = 0;
  for (const PendingWindow& pending : pool_) pool_tokens_ += fed(pending);
  for (Batch& batch : batches_) drop_windows(batch);
  std::erase_if(batches_, [](const Batch& batch) { return batch.empty(); });
}

void ScoreTask::submit(Batch batch) {
  builder_->clear();
  for (const PendingWindow& pending : batch) {
    const Window& window = pending.window;
    const FedTokens fed = fed_tokens(pending);
    const auto lead = static_cast<std::int64_t>(fed.lead.size());
    const EncodedShard& shard = pending.shard->shard;
    const TokenId* tokens = shard.tokens.data() + shard.offsets[static_cast<std::size_t>(pending.item)];
    builder_->add(fed, pending.inherited, lead + window.score_begin - 1 - window.begin,
                  {tokens + window.score_begin, tokens + window.score_end});
  }
  const model::PackedBatch& packed = builder_->batch();
  stage_.submit(packed);
  ++counts_.batches;
  counts_.tokens_fed += static_cast<std::int64_t>(packed.ids.size());
  counts_.tokens_shared += builder_->inherited();
  counts_.tokens_scored += builder_->asked();
  counts_.rows_scored += static_cast<std::int64_t>(packed.targets.size());
  counts_.visible_keys += builder_->visible_keys();
  under_way_.push_back({std::move(batch), builder_->take_entries()});
}

void ScoreTask::take_scores() {
  if (under_way_.empty()) return;
  stage_.take(scored_);
  store_scores(under_way_.front());
  under_way_.pop_front();
}

void ScoreTask::store_scores(const Flight& flight) {
  const auto top_k = static_cast<std::size_t>(options_.columns.top_k);
  std::size_t from = 0;
  for (const PendingWindow& pending : flight.batch) {
    ShardScores& scores = *pending.shard;
    const auto count = static_cast<std::size_t>(pending.window.score_end - pending.window.score_begin);
    const std::size_t to = scores.shard.offsets[static_cast<std::size_t>(pending.item)] +
                           static_cast<std::size_t>(pending.window.score_begin);
    const auto copy = [&](const auto& values, auto& out, std::size_t width) {
      if (out.empty()) return;
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t entry =
            flight.entries.empty() ? from + i : static_cast<std::size_t>(flight.entries[from + i]);
        std::copy_n(values.data() + entry * width, width, out.data() + (to + i) * width);
      }
    };
    copy(scored_.logprob, scores.logprob, 1);
    copy(scored_.rank, scores.rank, 1);
    copy(scored_.entropy, scores.entropy, 1);
    copy(scored_.top_id, scores.top_id, top_k);
    copy(scored_.top_logprob, scores.top_logprob, top_k);
    from += count;
    if (--scores.windows_out == 0 && scores.pulled && !scores.dropped) finish(scores);
  }
}

void ScoreTask::finish(ShardScores& scores) {
  const EncodedShard& shard = scores.shard;
  store::Rows rows;
  rows.shard = shard.shard;
  rows.first = shard.first;
  if (options_.columns.per_token) rows.token_offsets.push_back(0);
  for (std::int64_t i = 0; i < shard.count(); ++i) {
    const auto& item = shard.items[static_cast<std::size_t>(i)];
    const bool has_score = item.status == store::Status::ok || item.status == store::Status::windowed;
    const std::size_t end = shard.offsets[i + 1];
    const std::size_t begin = has_score ? shard.offsets[i] + static_cast<std::size_t>(scores.scored_from[i]) : end;
    double sum = 0;
    bool greedy = has_score;
    for (std::size_t t = begin; t < end; ++t) {
      sum += scores.logprob[t];
      if (shard.pairs) greedy = greedy && scores.rank[t] == 0;
    }
    const bool is_nan = has_score && !std::isfinite(sum);
    rows.status.push_back(is_nan ? store::Status::nan : item.status);
    rows.tokens.push_back(static_cast<std::int64_t>(end - begin));
    rows.logprob.push_back(has_score && !is_nan ? sum : nan);
    rows.bytes.push_back(item.bytes);
    rows.words.push_back(item.words);
    if (shard.pairs) rows.is_greedy.push_back(greedy && !is_nan);
    if (item.status == store::Status::rejected) rows.rejects.push_back({shard.first + i, item.reason});
    if (options_.columns.per_token) append_tokens(scores, begin, end, rows);
  }
  finished_.push_back(std::move(rows));
}

void ScoreTask::append_tokens(const ShardScores& scores, std::size_t begin, std::size_t end, store::Rows& rows) const {
  const auto copy = [&](const auto& from, auto& to, std::size_t width) {
    to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(begin * width),
              from.begin() + static_cast<std::ptrdiff_t>(end * width));
  };
  const auto top_k = static_cast<std::size_t>(options_.columns.top_k);
  copy(scores.shard.tokens, rows.token_id, 1);
  copy(scores.logprob, rows.token_logprob, 1);
  copy(scores.rank, rows.token_rank, 1);
  copy(scores.entropy, rows.token_entropy, 1);
  copy(scores.top_id, rows.top_id, top_k);
  copy(scores.top_logprob, rows.top_logprob, top_k);
  rows.token_offsets.push_back(rows.token_id.size());
}

}  // namespace thresher::engine
