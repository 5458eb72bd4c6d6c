#include "comm/wire.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace thresher::comm {
namespace {

// Nothing is sent as one empty piece.
std::size_t pieces(std::size_t bytes) {
  return std::max<std::size_t>(1, (bytes + Wire::piece - 1) / Wire::piece);
}

std::size_t piece_bytes(std::size_t k, std::size_t bytes) {
  return std::min(Wire::piece, bytes - k * Wire::piece);
}

void wait_for(Transfer& transfer) {
  if (!transfer.idle()) wait([&] { return transfer.done(); });
}

}  // namespace

Wire::Wire(MPI_Comm comm, int tag) : comm_(comm), tag_(tag) {
  std::lock_guard lock(mpi_lock());
  check(MPI_Comm_rank(comm_, &rank_));
  check(MPI_Comm_size(comm_, &size_));
}

void Wire::trade(int to, std::span<const std::byte> out, int from, std::size_t in, const Take& take) {
  throw_if_cancelled();
  const std::size_t sends = pieces(out.size()), receives = pieces(in);
  std::size_t sent = 0, posted = 0;
  for (std::size_t k = 0; k < std::max(sends, receives); ++k) {
    for (; posted < std::min(receives, k + depth); ++posted) {
      const std::size_t bytes = piece_bytes(posted, in);
      Transfer& transfer = incoming_[posted % depth];
      transfer.reserve(bytes);
      std::lock_guard lock(mpi_lock());
      transfer.receive(comm_, from, tag_, 0, bytes);
    }
    for (; sent < std::min(sends, k + depth); ++sent) {
      const std::size_t bytes = piece_bytes(sent, out.size());
      Transfer& transfer = outgoing_[sent % depth];
      wait_for(transfer);
      std::byte* const copy = transfer.reserve(bytes);
      if (bytes > 0) std::memcpy(copy, out.data() + sent * piece, bytes);
      std::lock_guard lock(mpi_lock());
      transfer.send(comm_, to, tag_, 0, bytes);
    }
    if (k >= receives) continue;
    Transfer& arriving = incoming_[k % depth];
    wait_for(arriving);
    take(k * piece, {arriving.data(), arriving.take_received()});
  }
  for (Transfer& transfer : outgoing_) wait_for(transfer);
}

void Wire::broadcast(std::span<std::byte> bytes, int root) {
  throw_if_cancelled();
  // Seen from the root, the parent of a rank is the rank without its lowest bit.
  const int place = (rank_ - root + size_) % size_;
  const int reach = place == 0 ? size_ : place & -place;
  const int parent = (place - (place & -place) + root) % size_;
  std::vector<int> children;
  for (int bit = 1; bit < reach && place + bit < size_; bit *= 2) children.push_back((place + bit + root) % size_);

  const std::size_t count = bytes.empty() ? 0 : pieces(bytes.size());
  std::size_t posted = 0;
  for (std::size_t k = 0; k < count; ++k) {
    for (; place != 0 && posted < std::min(count, k + depth / 2); ++posted) {
      Transfer& transfer = outgoing_[posted % depth];
      wait_for(transfer);
      transfer.reserve(piece_bytes(posted, bytes.size()));
      std::lock_guard lock(mpi_lock());
      transfer.receive(comm_, parent, tag_, 0, piece_bytes(posted, bytes.size()));
    }
    Transfer& transfer = outgoing_[k % depth];
    wait_for(transfer);
    const std::size_t length = piece_bytes(k, bytes.size());
    std::byte* const copy = transfer.reserve(length);
    std::byte* const own = bytes.data() + k * piece;
    if (place == 0) {
      std::memcpy(copy, own, length);
    } else {
      transfer.take_received();
      std::memcpy(own, copy, length);
    }
    std::lock_guard lock(mpi_lock());
    for (auto child = children.rbegin(); child != children.rend(); ++child)
      transfer.send(comm_, *child, tag_, 0, length);
  }
  for (Transfer& transfer : outgoing_) wait_for(transfer);
}

void Wire::barrier() {
  for (int step = 1; step < size_; step *= 2) {
    trade((rank_ + step) % size_, {}, (rank_ - step + size_) % size_, 0, [](auto, auto) {});
  }
}

}  // namespace thresher::comm
