#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "comm/waiting.h"
#include "thresher/base/check.h"
#include "thresher/comm/comm.h"
#include "thresher/comm/pipe.h"

namespace thresher::comm {
namespace {

// Two buffers that the outlet fills and the inlet empties in turn.
struct Strand {
  std::mutex mutex;
  std::vector<std::byte> buffers[2];
  std::size_t lengths[2] = {0, 0};
  std::int64_t sent = 0;
  std::int64_t released = 0;
};

class SelfOutlet : public Outlet {
 public:
  explicit SelfOutlet(std::shared_ptr<Strand> strand) : strand_(std::move(strand)) {}

  std::optional<std::span<std::byte>> poll() override {
    throw_if_cancelled();
    std::lock_guard lock(strand_->mutex);
    if (strand_->sent - strand_->released == 2) return std::nullopt;
    return std::span(strand_->buffers[strand_->sent % 2]);
  }

  void send(std::size_t bytes) override {
    const auto buffer = poll();
    if (!buffer) base::fail(base::Exit::internal, "a pipe's send() without a buffer()");
    if (bytes > buffer->size()) {
      base::fail(base::Exit::internal,
                 "a message of " + std::to_string(bytes) + " bytes for a pipe of " + std::to_string(buffer->size()));
    }
    std::lock_guard lock(strand_->mutex);
    strand_->lengths[strand_->sent++ % 2] = bytes;
  }

 protected:
  bool empty() override { return true; }

 private:
  std::shared_ptr<Strand> strand_;
};

class SelfInlet : public Inlet {
 public:
  explicit SelfInlet(std::shared_ptr<Strand> strand) : strand_(std::move(strand)) {}

  std::optional<std::span<const std::byte>> poll() override {
    throw_if_cancelled();
    std::lock_guard lock(strand_->mutex);
    if (strand_->sent == strand_->released) return std::nullopt;
    const int turn = static_cast<int>(strand_->released % 2);
    return std::span<const std::byte>(strand_->buffers[turn].data(), strand_->lengths[turn]);
  }

  void release() override {
    if (!poll()) base::fail(base::Exit::internal, "a pipe's release() without a message");
    std::lock_guard lock(strand_->mutex);
    ++strand_->released;
  }

 private:
  std::shared_ptr<Strand> strand_;
};

class SelfComm : public Comm {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void barrier() override { throw_if_cancelled(); }
  void broadcast(std::string&, int) override { throw_if_cancelled(); }
  void broadcast(std::span<std::byte>, int) override { throw_if_cancelled(); }
  std::vector<std::string> all_gather(const std::string& bytes) override {
    throw_if_cancelled();
    return {bytes};
  }
  void all_reduce(std::span<float>) override { throw_if_cancelled(); }
  void all_reduce_bits(std::span<std::uint32_t>) override { throw_if_cancelled(); }

  void exchange(int, std::span<const std::byte> out, std::span<std::byte> in) override {
    throw_if_cancelled();
    if (out.size() != in.size()) {
      base::fail(base::Exit::internal, "exchange of " + std::to_string(out.size()) + " bytes for " +
                                           std::to_string(in.size()) + ": both must be equal");
    }
    if (!in.empty()) std::memmove(in.data(), out.data(), in.size());
  }

  std::unique_ptr<Comm> split(int colour, int) override {
    throw_if_cancelled();
    if (colour < 0) base::fail(base::Exit::internal, "split: colour " + std::to_string(colour) + " is below 0");
    return std::make_unique<SelfComm>();
  }

  std::unique_ptr<Outlet> outlet(int, int tag, std::size_t capacity) override {
    return std::make_unique<SelfOutlet>(strand(tag, capacity));
  }
  std::unique_ptr<Inlet> inlet(int, int tag, std::size_t capacity) override {
    return std::make_unique<SelfInlet>(strand(tag, capacity));
  }

 private:
  // Whichever end comes first makes it; when both ends are gone, so is the strand.
  std::shared_ptr<Strand> strand(int tag, std::size_t capacity) {
    std::shared_ptr<Strand> strand = strands_[tag].lock();
    if (!strand) {
      strand = std::make_shared<Strand>();
      for (auto& buffer : strand->buffers) buffer.resize(capacity);
      strands_[tag] = strand;
    }
    return strand;
  }

  std::map<int, std::weak_ptr<Strand>> strands_;
};

}  // namespace

std::unique_ptr<Comm> self_comm() {
  return std::make_unique<SelfComm>();
}

}  // namespace thresher::comm
