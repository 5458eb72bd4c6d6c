#include "comm/mpi_pipe.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "comm/progress.h"
#include "comm/transfer.h"

namespace thresher::comm {
namespace {

// A message goes as pieces, always as many as the capacity takes and empty ones after its end: so the inlet can post
// receives for all of them before it knows the length, and whoever looks after the pipe sees it move.
constexpr std::size_t piece = 256 * 1024;

std::size_t piece_bytes(std::size_t start, std::size_t bytes) {
  return std::min(piece, bytes - std::min(bytes, start));
}

// Two buffers, used in turn.
class Ends : public Moving {
 public:
  explicit Ends(PipeEnd end) : end_(std::move(end)) {
    for (Transfer& buffer : buffers_) buffer.reserve(end_.capacity);
  }

  bool advance() override {
    bool moved = false;
    for (Transfer& buffer : buffers_) moved = (!buffer.idle() && buffer.advance()) || moved;
    return moved;
  }

  // The buffer whose turn it is, if it is idle.
  Transfer* current() {
    std::lock_guard lock(mpi_lock());
    return buffers_[turn_].done() ? &buffers_[turn_] : nullptr;
  }
  bool idle() {
    std::lock_guard lock(mpi_lock());
    return buffers_[0].done() && buffers_[1].done();
  }
  void next_turn() { turn_ ^= 1; }

  void send(std::size_t bytes) {
    std::lock_guard lock(mpi_lock());
    for (std::size_t start = 0; start < end_.capacity; start += piece)
      buffers_[turn_].send(end_.comm->raw(), end_.peer, end_.tag, start, piece_bytes(start, bytes));
  }
  void post(int which) {
    std::lock_guard lock(mpi_lock());
    for (std::size_t start = 0; start < end_.capacity; start += piece)
      buffers_[which].receive(end_.comm->raw(), end_.peer, end_.tag, start, piece_bytes(start, end_.capacity));
  }

  std::size_t capacity() const { return end_.capacity; }
  int turn() const { return turn_; }

 private:
  PipeEnd end_;
  std::array<Transfer, 2> buffers_;
  int turn_ = 0;
};

class MpiOutlet : public Outlet {
 public:
  explicit MpiOutlet(PipeEnd end) : ends_(std::move(end)) { watch(ends_); }
  ~MpiOutlet() override { unwatch(ends_); }

  std::optional<std::span<std::byte>> poll() override {
    throw_if_cancelled();
    Transfer* const buffer = ends_.current();
    if (buffer == nullptr) return std::nullopt;
    return std::span(buffer->data(), ends_.capacity());
  }

  void send(std::size_t bytes) override {
    throw_if_cancelled();
    if (bytes > ends_.capacity()) {
      base::fail(base::Exit::internal,
                 "a message of " + std::to_string(bytes) + " bytes for a pipe of " + std::to_string(ends_.capacity()));
    }
    if (ends_.current() == nullptr) base::fail(base::Exit::internal, "a pipe's send() without a buffer()");
    ends_.send(bytes);
    ends_.next_turn();
  }

 protected:
  bool empty() override { return ends_.idle(); }

 private:
  Ends ends_;
};

class MpiInlet : public Inlet {
 public:
  explicit MpiInlet(PipeEnd end) : ends_(std::move(end)) {
    ends_.post(0);
    ends_.post(1);
    watch(ends_);
  }
  ~MpiInlet() override { unwatch(ends_); }

  std::optional<std::span<const std::byte>> poll() override {
    throw_if_cancelled();
    if (!held_) {
      Transfer* const buffer = ends_.current();
      if (buffer == nullptr) return std::nullopt;
      held_ = std::span<const std::byte>(buffer->data(), buffer->take_received());
    }
    return held_;
  }

  void release() override {
    if (!held_) base::fail(base::Exit::internal, "a pipe's release() without a message");
    held_.reset();
    ends_.post(ends_.turn());
    ends_.next_turn();
  }

 private:
  Ends ends_;
  std::optional<std::span<const std::byte>> held_;
};

}  // namespace

std::unique_ptr<Outlet> mpi_outlet(PipeEnd end) {
  return std::make_unique<MpiOutlet>(std::move(end));
}

std::unique_ptr<Inlet> mpi_inlet(PipeEnd end) {
  return std::make_unique<MpiInlet>(std::move(end));
}

}  // namespace thresher::comm
