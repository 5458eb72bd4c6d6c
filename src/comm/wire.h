// Point-to-point messages in pieces over one communicator: what collective exchanges are made of.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "comm/mpi_call.h"
#include "comm/transfer.h"

namespace thresher::comm {

class Wire {
 public:
  // What arrives: where it starts in the whole, and the piece.
  using Take = std::function<void(std::size_t, std::span<const std::byte>)>;

  // Pieces are multiples of 64 bytes, so that numbers in them stay whole and aligned.
  static constexpr std::size_t piece = 128 * 1024;

  Wire(MPI_Comm comm, int tag);
  int rank() const { return rank_; }
  int size() const { return size_; }

  // Sends `out` to one rank and receives `in` bytes from another, or the same. take() gets the pieces in order; by then
  // the same piece of `out` has been copied, so that it may write there.
  void trade(int to, std::span<const std::byte> out, int from, std::size_t in, const Take& take);
  // From the root to all, along a binomial tree.
  void broadcast(std::span<std::byte> bytes, int root);
  void barrier();

 private:
  static constexpr int depth = 4;  // pieces on their way at once
  using Ring = std::array<Transfer, depth>;

  MPI_Comm comm_;
  int tag_;
  int rank_ = 0;
  int size_ = 1;
  Ring outgoing_;
  Ring incoming_;
};

}  // namespace thresher::comm
