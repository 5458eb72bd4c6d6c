#include "thresher/engine/stage.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <thread>
#include <vector>

#include "engine/batch_message.h"
#include "thresher/base/bounded_queue.h"
#include "thresher/base/check.h"
#include "thresher/base/clock.h"

namespace thresher::engine {
namespace {

using base::Doing;
using model::PackedBatch;
using model::ScoredTokens;

enum Tag : int { hidden_tag = 1, batch_tag = 2, scores_tag = 3 };

// A pipe's end with the messages it carries.
struct Out {
  Out(comm::Comm& ranks, int to, Tag tag, std::size_t capacity)
      : pipe(ranks.outlet(to, tag, capacity)), sender(*pipe) {}
  std::unique_ptr<comm::Outlet> pipe;
  Sender sender;
};

struct In {
  In(comm::Comm& ranks, int from, Tag tag, std::size_t capacity)
      : pipe(ranks.inlet(from, tag, capacity)), receiver(*pipe) {}
  std::unique_ptr<comm::Inlet> pipe;
  Receiver receiver;
};

// Takes scores off the pipe as they come, so that the last stage never waits for the leader.
class ScoreInbox {
 public:
  ScoreInbox(comm::Comm& ranks, int from, std::size_t capacity, std::size_t most)
      : in_(ranks, from, scores_tag, capacity), queue_(most), thread_([this] { run(); }) {}
  ~ScoreInbox() {
    expected_.close();
    queue_.close();
    thread_.join();
  }

  void expect() { expected_.push(true); }
  void close() { expected_.close(); }
  ScoredTokens take() {
    std::optional<ScoredTokens> scores = queue_.pop();
    if (!scores) base::fail(base::Exit::internal, "scores asked for that no batch has");
    return std::move(*scores);
  }

 private:
  void run() noexcept {
    try {
      while (expected_.pop()) {
        ScoredTokens scores;
        read_scores(in_.receiver.receive(), scores);
        in_.receiver.release();
        if (!queue_.push(std::move(scores))) return;
      }
    } catch (...) {
      queue_.abort(std::current_exception());
    }
  }

  In in_;
  base::BoundedQueue<bool> expected_{1 << 16};
  base::BoundedQueue<ScoredTokens> queue_;
  std::thread thread_;
};

}  // namespace

// Which pipes there are depends on the place; those that are not there stay empty.
struct Stage::Links {
  Links(const comm::Grid& grid, const StageOptions& options, std::int64_t width)
      : place(grid.place()), stages(grid.layout().stages), room(static_cast<std::size_t>(2 * stages)), finished(room) {
    comm::Comm& ranks = grid.replica();
    const int shards = grid.layout().shards, last = (stages - 1) * shards;
    const std::size_t with_hidden = batch_bytes(options.tokens_per_batch, width),
                      without = batch_bytes(options.tokens_per_batch, 0),
                      scores = scores_bytes(options.tokens_per_batch, options.tokens_per_batch * options.top_k);
    if (place.stage > 0) before.emplace(ranks, ranks.rank() - shards, hidden_tag, with_hidden);
    if (place.stage == 0 && place.shard > 0) before.emplace(ranks, 0, batch_tag, without);
    if (place.stage + 1 < stages) after.emplace(ranks, ranks.rank() + shards, hidden_tag, with_hidden);
    for (int shard = 1; leads() && shard < shards; ++shard) helpers.emplace_back(ranks, shard, batch_tag, without);
    if (stages > 1 && ranks.rank() == last) back.emplace(ranks, 0, scores_tag, scores);
    if (stages > 1 && leads()) inbox.emplace(ranks, last, scores, room);
  }

  bool leads() const { return place.stage == 0 && place.shard == 0; }

  const comm::Place place;
  const int stages;
  const std::size_t room;                     // batches under way
  std::optional<In> before;                   // the stage before, or the leader
  std::optional<Out> after;                   // the stage after
  std::deque<Out> helpers;                    // from the leader to the other shards of its stage
  std::optional<Out> back;                    // from the last stage to the leader
  std::optional<ScoreInbox> inbox;            // at the leader
  base::BoundedQueue<ScoredTokens> finished;  // at a leader that scores itself
};

Stage::Stage(model::Transformer& transformer, const comm::Grid& grid, const StageOptions& options,
             base::Activity& activity)
    : transformer_(transformer),
      activity_(activity),
      links_(std::make_unique<Links>(grid, options, transformer.config().hidden)) {}

Stage::~Stage() = default;

bool Stage::leads() const {
  return links_->leads();
}

bool Stage::full() const {
  return under_way_ >= static_cast<std::int64_t>(links_->stages == 1 ? 1 : links_->room);
}

// This rank's blocks, and the result to whom it concerns.
void Stage::run(const PackedBatch& batch, std::span<const float> in) {
  std::int32_t longest = 0;
  for (std::size_t i = 0; i + 1 < batch.starts.size(); ++i)
    longest = std::max(longest, batch.starts[i + 1] - batch.starts[i]);
  transformer_.grow(longest);
  const std::int64_t width = transformer_.config().hidden;
  std::span<float> out;
  if (links_->after) {
    const base::During during(activity_, Doing::waiting, "waiting for room in the next stage");
    out = write_batch(batch, width, links_->after->sender.begin(batch_bytes(batch, width)));
  }
  {
    const base::Stopwatch watch;
    const base::During during(activity_, Doing::computing, "computing a batch");
    transformer_.run(batch, in, out, scores_);
    times_.computing += watch.seconds();
    ++times_.batches;
  }
  if (links_->after) links_->after->sender.send();
  if (!links_->back) return;
  const base::During during(activity_, Doing::waiting, "waiting for the leader to take scores");
  write_scores(scores_, links_->back->sender.begin(scores_bytes(scores_)));
  links_->back->sender.send();
}

void Stage::submit(const PackedBatch& batch) {
  for (Out& helper : links_->helpers) {
    write_batch(batch, 0, helper.sender.begin(batch_bytes(batch, 0)));
    helper.sender.send();
  }
  ++under_way_;
  if (links_->inbox) links_->inbox->expect();
  run(batch, {});
  if (!links_->inbox) links_->finished.push(std::exchange(scores_, {}));
}

void Stage::take(ScoredTokens& scores) {
  const base::During during(activity_, Doing::waiting, "waiting for scores of the last stage");
  const base::Stopwatch watch;
  scores = links_->inbox ? links_->inbox->take() : std::move(*links_->finished.pop());
  times_.waiting_before += watch.seconds();
  --under_way_;
}

void Stage::close() {
  const PackedBatch nothing;
  if (links_->inbox) links_->inbox->close();
  for (Out& helper : links_->helpers) {
    write_batch(nothing, 0, helper.sender.begin(batch_bytes(nothing, 0)));
    helper.sender.send();
  }
  if (links_->after) {
    write_batch(nothing, 0, links_->after->sender.begin(batch_bytes(nothing, 0)));
    links_->after->sender.send();
  }
  for (Out& helper : links_->helpers) helper.pipe->flush();
  if (links_->after) links_->after->pipe->flush();
}

void Stage::follow() {
  PackedBatch batch;
  for (;;) {
    std::span<const float> in;
    {
      const base::During during(activity_, Doing::waiting, "waiting for the stage before");
      in = read_batch(links_->before->receiver.receive(), batch);
    }
    if (batch.ids.empty()) break;
    run(batch, in);
    links_->before->receiver.release();
  }
  links_->before->receiver.release();
  close();
  if (links_->back) links_->back->pipe->flush();
}

StageTimes Stage::times() const {
  StageTimes times = times_;
  if (links_->before) times.waiting_before = links_->before->pipe->waited();
  if (links_->after) times.waiting_after = links_->after->pipe->waited();
  if (links_->back) times.waiting_after += links_->back->pipe->waited();
  return times;
}

model::Transformer& Stage::transformer() const {
  return transformer_;
}

}  // namespace thresher::engine
