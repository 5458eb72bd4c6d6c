#include "thresher/engine/stage.h"

#include <algorithm>
#include <array>
#include <chrono>
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
  bool ready() const { return queue_.ready(); }
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

constexpr auto nap = std::chrono::microseconds(20);

// What copies of the residual stream need while batches are under way on a device with memory of its own.
class Staging {
 public:
  explicit Staging(device::Device& device) : device_(device) {}
  // For the next batch; the memory of the one before the last is used again.
  std::span<float> next(std::size_t floats) {
    device::Buffer& buffer = buffers_[turn_++ % buffers_.size()];
    const auto bytes = static_cast<std::int64_t>(floats * sizeof(float));
    if (buffer.bytes() < bytes) buffer = device_.allocate_host(bytes);
    return {static_cast<float*>(buffer.data()), floats};
  }

 private:
  device::Device& device_;
  std::array<device::Buffer, 2> buffers_;
  std::size_t turn_ = 0;
};

}  // namespace

// A batch in the transformer.
struct Stage::Flight {
  PackedBatch batch;     // for the message to the next stage, where that is not begun
  std::span<float> out;  // the residual stream behind this part, where it goes by way of the host
};

// Which pipes there are depends on the place; those that are not there stay empty.
struct Stage::Links {
  Links(const comm::Grid& grid, const StageOptions& options, const model::Transformer& transformer)
      : place(grid.place()),
        stages(grid.layout().stages),
        device_before(options.before),
        device_after(options.after),
        room(static_cast<std::size_t>(2 * stages)),
        in(transformer.device()),
        out(transformer.device()) {
    const std::int64_t width = transformer.config().hidden;
    comm::Comm& ranks = grid.replica();
    const int shards = grid.layout().shards, last = (stages - 1) * shards;
    const auto with_hidden = [&](bool by_host) { return batch_bytes(options.tokens_per_batch, by_host ? width : 0); };
    const std::size_t without = batch_bytes(options.tokens_per_batch, 0),
                      scores = scores_bytes(options.tokens_per_batch, options.tokens_per_batch * options.top_k);
    if (place.stage > 0) before.emplace(ranks, ranks.rank() - shards, hidden_tag, with_hidden(!device_before));
    if (place.stage == 0 && place.shard > 0) before.emplace(ranks, 0, batch_tag, without);
    if (place.stage + 1 < stages) after.emplace(ranks, ranks.rank() + shards, hidden_tag, with_hidden(!device_after));
    for (int shard = 1; leads() && shard < shards; ++shard) helpers.emplace_back(ranks, shard, batch_tag, without);
    if (stages > 1 && ranks.rank() == last) back.emplace(ranks, 0, scores_tag, scores);
    if (stages > 1 && leads()) inbox.emplace(ranks, last, scores, room);
  }

  bool leads() const { return place.stage == 0 && place.shard == 0; }

  const comm::Place place;
  const int stages;
  comm::DeviceInlet* const device_before;
  comm::DeviceOutlet* const device_after;
  const std::size_t room;           // batches under way
  std::optional<In> before;         // the stage before, or the leader
  std::optional<Out> after;         // the stage after
  std::deque<Out> helpers;          // from the leader to the other shards of its stage
  std::optional<Out> back;          // from the last stage to the leader
  std::optional<ScoreInbox> inbox;  // at the leader
  Staging in, out;
  std::deque<Flight> flights;
};

Stage::Stage(model::Transformer& transformer, const comm::Grid& grid, const StageOptions& options,
             base::Activity& activity)
    : transformer_(transformer), activity_(activity), links_(std::make_unique<Links>(grid, options, transformer)) {}

// The device may still be copying to memory that ends here.
Stage::~Stage() {
  try {
    transformer_.device().finish();
  } catch (const base::Error&) {
    // Whoever wants the scores has asked for them.
  }
}

bool Stage::leads() const {
  return links_->leads();
}

bool Stage::full() const {
  return under_way_ >= (links_->stages == 1 ? transformer_.room() : static_cast<std::int64_t>(links_->room));
}

// This rank's blocks. Where the device is the host, the residual stream is read and written where messages lie, and the
// batch goes on at once; else it is copied on the device's queue, and the batch goes on when that has come there. Where
// devices exchange it themselves, the next stage hears of the batch before it is computed.
void Stage::begin(const PackedBatch& batch, std::span<const float> in) {
  if (transformer_.full()) hand_on();
  transformer_.grow(batch.longest());
  const bool at_once = transformer_.room() == 1;
  Flight flight;
  if (links_->after && at_once) {
    flight.out = open(batch);
  } else if (links_->after && !links_->device_after) {
    flight = {batch, links_->out.next(batch.ids.size() * static_cast<std::size_t>(transformer_.config().hidden))};
  }
  {
    const base::Stopwatch watch;
    const base::During during(activity_, Doing::computing, "computing a batch");
    transformer_.begin(batch, boundary(in, flight));
    times_.computing += watch.seconds();
    ++times_.batches;
  }
  if (links_->device_after) announce(batch);
  links_->flights.push_back(std::move(flight));
  if (at_once && links_->stages > 1) hand_on();
}

model::Boundary Stage::boundary(std::span<const float> in, const Flight& flight) {
  device::Device& device = transformer_.device();
  const bool at_once = transformer_.room() == 1;
  const auto host = [](std::span<const float> values, const tensor::Tensor& residual) {
    return tensor::matrix(const_cast<float*>(values.data()), residual.dtype, residual.rows, residual.columns);
  };
  return {.fill =
              [this, in, at_once, host, &device](const tensor::Tensor& residual) {
                if (links_->device_before) return links_->device_before->receive(residual);
                if (at_once) return device.upload(host(in, residual), residual);
                const std::span<float> staged = links_->in.next(in.size());
                std::copy(in.begin(), in.end(), staged.begin());
                device.queue_upload(host(staged, residual), residual);
              },
          .pass_on =
              [this, out = flight.out, host, &device](const tensor::Tensor& residual) {
                if (links_->device_after) return links_->device_after->send(residual);
                device.queue_download(residual, host(out, residual));
              }};
}

// The batch without its residual stream, to the next stage.
void Stage::announce(const PackedBatch& batch) {
  const base::During during(activity_, Doing::waiting, "waiting for room in the next stage");
  write_batch(batch, 0, links_->after->sender.begin(batch_bytes(batch, 0)));
  links_->after->sender.send();
}

std::span<float> Stage::open(const PackedBatch& batch) {
  const base::During during(activity_, Doing::waiting, "waiting for room in the next stage");
  const std::int64_t width = transformer_.config().hidden;
  return write_batch(batch, width, links_->after->sender.begin(batch_bytes(batch, width)));
}

// The oldest batch of this stage's, to whom it concerns.
void Stage::hand_on() {
  {
    const base::Stopwatch watch;
    const base::During during(activity_, Doing::computing, "computing a batch");
    transformer_.take(scores_);
    times_.computing += watch.seconds();
  }
  const Flight flight = std::move(links_->flights.front());
  links_->flights.pop_front();
  if (links_->after && !links_->device_after) {
    if (!flight.batch.ids.empty()) std::copy(flight.out.begin(), flight.out.end(), open(flight.batch).begin());
    links_->after->sender.send();
  }
  if (!links_->back) return;
  const base::During during(activity_, Doing::waiting, "waiting for the leader to take scores");
  write_scores(scores_, links_->back->sender.begin(scores_bytes(scores_)));
  links_->back->sender.send();
}

// While others are waited for too. The device computes meanwhile.
void Stage::hand_on_if_done() {
  if (transformer_.done()) return hand_on();
  const base::During during(activity_, Doing::computing, "computing a batch");
  const base::Stopwatch watch;
  std::this_thread::sleep_for(nap);
  times_.computing += watch.seconds();
}

void Stage::submit(const PackedBatch& batch) {
  for (Out& helper : links_->helpers) {
    write_batch(batch, 0, helper.sender.begin(batch_bytes(batch, 0)));
    helper.sender.send();
  }
  ++under_way_;
  if (links_->inbox) links_->inbox->expect();
  begin(batch, {});
}

void Stage::take(ScoredTokens& scores) {
  --under_way_;
  if (!links_->inbox) {
    hand_on();
    return std::swap(scores, scores_);
  }
  while (!links_->flights.empty() && !links_->inbox->ready()) hand_on_if_done();
  const base::During during(activity_, Doing::waiting, "waiting for scores of the last stage");
  const base::Stopwatch watch;
  scores = links_->inbox->take();
  times_.waiting_before += watch.seconds();
}

void Stage::settle() {
  while (links_->inbox && !links_->flights.empty()) hand_on();
}

void Stage::close() {
  const PackedBatch nothing;
  if (links_->inbox) links_->inbox->close();
  for (Out& helper : links_->helpers) {
    write_batch(nothing, 0, helper.sender.begin(batch_bytes(nothing, 0)));
    helper.sender.send();
  }
  if (links_->after) announce(nothing);
  for (Out& helper : links_->helpers) helper.pipe->flush();
  if (links_->after) links_->after->pipe->flush();
}

void Stage::follow() {
  PackedBatch batch;
  for (;;) {
    while (!links_->flights.empty() && !links_->before->receiver.ready()) hand_on_if_done();
    std::span<const float> in;
    {
      const base::During during(activity_, Doing::waiting, "waiting for the stage before");
      in = read_batch(links_->before->receiver.receive(), batch);
    }
    if (batch.ids.empty()) break;
    begin(batch, in);
    links_->before->receiver.release();
  }
  links_->before->receiver.release();
  while (!links_->flights.empty()) hand_on();
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
