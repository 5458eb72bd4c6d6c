// Batches and scores as bytes between the ranks of a replica.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "thresher/comm/pipe.h"
#include "thresher/model/transformer.h"
#include "thresher/tensor/buffer.h"

namespace thresher::engine {

// Messages through a pipe; one that is longer than the pipe's buffers goes in several. All begin with their length, 8
// bytes.
class Sender {
 public:
  explicit Sender(comm::Outlet& outlet) : outlet_(outlet) {}
  // Memory for a message, 64-byte aligned; waits for it.
  std::span<std::byte> begin(std::size_t bytes);
  void send();

 private:
  comm::Outlet& outlet_;
  std::size_t bytes_ = 0;
  std::span<std::byte> place_;
  tensor::Buffer long_one_;
};

class Receiver {
 public:
  explicit Receiver(comm::Inlet& inlet) : inlet_(inlet) {}
  // Whether `receive` would not wait for a message's beginning.
  bool ready() { return inlet_.poll().has_value(); }
  // The next message, to be released before the one after it.
  std::span<const std::byte> receive();
  void release();

 private:
  comm::Inlet& inlet_;
  bool holds_ = false;
  tensor::Buffer long_one_;
};

// A batch with the residual stream, tokens x width f32, or without one (width 0). One without tokens says that no more
// will come.
std::size_t batch_bytes(const model::PackedBatch& batch, std::int64_t width);
// The greatest there can be with so many tokens.
std::size_t batch_bytes(std::int64_t tokens, std::int64_t width);
// Writes the batch and returns the place of the residual.
std::span<float> write_batch(const model::PackedBatch& batch, std::int64_t width, std::span<std::byte> message);
std::span<const float> read_batch(std::span<const std::byte> message, model::PackedBatch& batch);

std::size_t scores_bytes(std::int64_t rows, std::int64_t top);  // top: rows x K
std::size_t scores_bytes(const model::ScoredTokens& scores);
void write_scores(const model::ScoredTokens& scores, std::span<std::byte> message);
void read_scores(std::span<const std::byte> message, model::ScoredTokens& scores);

}  // namespace thresher::engine
