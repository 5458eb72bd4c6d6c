#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <thread>

#include "comm/mpi_call.h"
#include "comm/mpi_pipe.h"
#include "comm/wire.h"
#include "thresher/comm/comm.h"
#include "thresher/comm/ending.h"

namespace thresher::comm {
namespace {

constexpr int collective_tag = 1;
constexpr int pipe_tags = 16;
// Up to here a whole exchange at every level of the tree is faster than halves and back.
constexpr std::size_t whole_bytes = 32 * 1024;

// The left operand is the lower rank's on both sides: which of two NaNs survives depends on it. Sums leave through a
// block of their own, so that there is one loop for all uses and both sides run the same instructions.
[[gnu::noinline]] void add(const float* low, const float* high, float* sum, std::size_t count) {
  constexpr std::size_t width = 32;
  float block[width];
  std::size_t i = 0;
  for (; i + width <= count; i += width) {
    for (std::size_t j = 0; j < width; ++j) block[j] = low[i + j] + high[i + j];
    std::memcpy(sum + i, block, sizeof block);
  }
  for (; i < count; ++i) sum[i] = low[i] + high[i];
}

void join(std::span<float> own, const float* other, bool own_is_low) {
  add(own_is_low ? own.data() : other, own_is_low ? other : own.data(), own.data(), own.size());
}

void join(std::span<std::uint32_t> own, const std::uint32_t* other, bool) {
  for (std::size_t i = 0; i < own.size(); ++i) own[i] |= other[i];
}

// All exchanges are made of point-to-point messages: those can be cancelled, collective calls of MPI cannot.
class MpiComm : public Comm {
 public:
  explicit MpiComm(std::shared_ptr<const OwnComm> comm) : comm_(std::move(comm)), wire_(comm_->raw(), collective_tag) {}

  int rank() const override { return wire_.rank(); }
  int size() const override { return wire_.size(); }

  void barrier() override { wire_.barrier(); }

  void broadcast(std::span<std::byte> bytes, int root) override { wire_.broadcast(bytes, root); }

  void broadcast(std::string& bytes, int root) override {
    std::uint64_t length = bytes.size();
    wire_.broadcast(std::as_writable_bytes(std::span(&length, 1)), root);
    bytes.resize(length);
    wire_.broadcast(std::as_writable_bytes(std::span(bytes)), root);
  }

  std::vector<std::string> all_gather(const std::string& bytes) override {
    const std::uint64_t length = bytes.size();
    const std::vector<std::uint64_t> words(size(), sizeof length);
    const std::string lengths = gather({reinterpret_cast<const char*>(&length), sizeof length}, words);
    std::vector<std::uint64_t> sizes(size());
    std::memcpy(sizes.data(), lengths.data(), lengths.size());
    const std::string all = gather(bytes, sizes);
    std::vector<std::string> parts;
    std::uint64_t start = 0;
    for (const std::uint64_t bytes_of_rank : sizes) {
      parts.push_back(all.substr(start, bytes_of_rank));
      start += bytes_of_rank;
    }
    return parts;
  }

  void all_reduce(std::span<float> values) override { reduce(values); }
  void all_reduce_bits(std::span<std::uint32_t> bits) override { reduce(bits); }

  void exchange(int peer, std::span<const std::byte> out, std::span<std::byte> in) override {
    if (out.size() != in.size()) {
      base::fail(base::Exit::internal, "exchange of " + std::to_string(out.size()) + " bytes for " +
                                           std::to_string(in.size()) + ": both must be equal");
    }
    if (peer == rank()) {
      if (!in.empty()) std::memmove(in.data(), out.data(), in.size());
    } else {
      trade_into(peer, out, in);
    }
  }

  std::unique_ptr<Comm> split(int colour, int key) override {
    if (colour < 0) base::fail(base::Exit::internal, "split: colour " + std::to_string(colour) + " is below 0");
    // MPI's own call cannot be ended and holds the lock, so all meet first.
    barrier();
    MPI_Comm part = MPI_COMM_NULL;
    {
      std::lock_guard lock(mpi_lock());
      check(MPI_Comm_split(comm_->raw(), colour, key, &part));
    }
    return std::make_unique<MpiComm>(std::make_shared<OwnComm>(part));
  }

  std::unique_ptr<Outlet> outlet(int to, int tag, std::size_t capacity) override {
    return mpi_outlet({comm_, to, pipe_tags + tag, capacity});
  }
  std::unique_ptr<Inlet> inlet(int from, int tag, std::size_t capacity) override {
    return mpi_inlet({comm_, from, pipe_tags + tag, capacity});
  }

 private:
  void trade_into(int peer, std::span<const std::byte> out, std::span<std::byte> in) {
    wire_.trade(peer, out, peer, in.size(), [&](std::size_t start, std::span<const std::byte> piece) {
      if (!piece.empty()) std::memcpy(in.data() + start, piece.data(), piece.size());
    });
  }

  // The whole of everyone's `own`, rank by rank; `sizes` tells how long each is. In round k every rank passes on the
  // 2^k ranks that follow it, itself included.
  std::string gather(std::string_view own, std::span<const std::uint64_t> sizes) {
    const int ranks = size();
    // Bytes of `count` ranks from this one on, around the end.
    auto extent = [&](int first, int count) {
      std::uint64_t sum = 0;
      for (int i = 0; i < count; ++i) sum += sizes[(first + i) % ranks];
      return sum;
    };
    std::string all(extent(0, ranks), '\0');
    std::copy(own.begin(), own.end(), all.begin());
    std::uint64_t filled = own.size();
    for (int step = 1; step < ranks; step *= 2) {
      const int count = std::min(step, ranks - step);
      const std::uint64_t coming = extent((rank() + step) % ranks, count);
      const auto known = std::as_bytes(std::span(all.data(), extent(rank(), count)));
      wire_.trade((rank() - step + ranks) % ranks, known, (rank() + step) % ranks, coming,
                  [&](std::size_t start, std::span<const std::byte> piece) {
                    if (!piece.empty()) std::memcpy(all.data() + filled + start, piece.data(), piece.size());
                  });
      filled += coming;
    }
    std::rotate(all.begin(), all.end() - static_cast<std::ptrdiff_t>(extent(0, rank())), all.end());
    return all;
  }

  template <class T>
  void reduce(std::span<T> values) {
    if (!std::has_single_bit(static_cast<unsigned>(size()))) {
      base::fail(base::Exit::internal,
                 "all_reduce over " + std::to_string(size()) + " ranks: the tree needs a power of two");
    }
    if (size() > 2 && values.size_bytes() > whole_bytes) {
      reduce_halves(values, 1);
    } else {
      for (int step = 1; step < size(); step *= 2) trade_and_join<T>(values, values, rank() ^ step);
    }
  }

  // Each of a pair reduces one half further, with the ranks that hold the same half, and the halves are exchanged
  // again. The first pair are neighbours, so that every element is summed in the same tree.
  template <class T>
  void reduce_halves(std::span<T> values, int step) {
    if (step == size()) return;
    const int peer = rank() ^ step;
    const std::size_t half = values.size() / 2;
    std::span<T> mine = values.first(half), other = values.subspan(half);
    if (rank() > peer) std::swap(mine, other);
    trade_and_join<T>(other, mine, peer);
    reduce_halves(mine, 2 * step);
    trade_into(peer, std::as_bytes(mine), std::as_writable_bytes(other));
  }

  template <class T>
  void trade_and_join(std::span<const T> out, std::span<T> in, int peer) {
    wire_.trade(peer, std::as_bytes(out), peer, in.size_bytes(),
                [&](std::size_t start, std::span<const std::byte> piece) {
                  const std::size_t count = piece.size() / sizeof(T);
                  join(in.subspan(start / sizeof(T), count), reinterpret_cast<const T*>(piece.data()), rank() < peer);
                });
  }

  std::shared_ptr<const OwnComm> comm_;
  Wire wire_;
};

}  // namespace

std::shared_ptr<const OwnComm> own_world() {
  Wire(MPI_COMM_WORLD, start_tag).barrier();
  std::lock_guard lock(mpi_lock());
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &copy));
  return std::make_shared<OwnComm>(copy);
}

std::unique_ptr<Comm> mpi_comm() {
  return std::make_unique<MpiComm>(own_world());
}

bool all_leave(std::chrono::milliseconds within) {
  const auto end = std::chrono::steady_clock::now() + within;
  Wire world(MPI_COMM_WORLD, leave_tag);
  for (int step = 1; step < world.size(); step *= 2) {
    Transfer out, in;
    out.reserve(0);
    in.reserve(0);
    std::unique_lock lock(mpi_lock());
    in.receive(MPI_COMM_WORLD, (world.rank() - step + world.size()) % world.size(), leave_tag, 0, 0);
    out.send(MPI_COMM_WORLD, (world.rank() + step) % world.size(), leave_tag, 0, 0);
    Patience patience;
    while (!(in.done() && out.done())) {
      lock.unlock();
      if (std::chrono::steady_clock::now() > end) return false;
      patience.pause();
      lock.lock();
    }
  }
  return true;
}

}  // namespace thresher::comm
