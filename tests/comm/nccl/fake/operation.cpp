#include "comm/nccl/fake/operation.h"

#include <csignal>
#include <cstring>
#include <stdexcept>

#include "device/cuda_runtime/stream.h"

namespace thresher::fake_nccl {
namespace {

// In front of all data: both sides have to mean the same.
struct Header {
  Kind kind;
  std::uint32_t type;
  std::uint64_t count;
  std::int64_t gpu;
};

bool receives_from(const Call& call, int peer) {
  return call.kind == Kind::all_reduce || (call.kind == Kind::receive && call.peer == peer);
}

std::size_t size_of(const Call& call) {
  return call.count * bytes_of(call.type);
}

// Starts with another rank for every part of the data, as a ring does.
template <class T>
void add(const Call& call, const std::vector<std::string>& data) {
  const std::size_t ranks = data.size();
  for (std::size_t i = 0; i < call.count; ++i) {
    const auto of = [&](std::size_t rank) {
      T value;
      std::memcpy(&value, data[rank % ranks].data() + i * sizeof(T), sizeof(T));
      return value;
    };
    const std::size_t first = i * ranks / call.count;
    T sum = of(first);
    for (std::size_t r = 1; r < ranks; ++r) sum += of(first + r);
    std::memcpy(static_cast<char*>(call.to) + i * sizeof(T), &sum, sizeof(T));
  }
}

}  // namespace

std::size_t bytes_of(ncclDataType_t type) {
  if (type != ncclFloat32 && type != ncclUint32) throw std::logic_error("a type that the fake does not know");
  return 4;
}

bool Operation::advance() {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.aborted) {
    poison();
    --state.under_way;
    return true;
  }
  if (fault_ != Fault::none && !begun_) {
    log_strike();
    if (fault_ == Fault::die) std::raise(SIGKILL);
    if (fault_ == Fault::fail) state.result = ncclSystemError;
    begun_ = true;
  }
  if (fault_ != Fault::none) return false;
  if (!begun_) begin();
  begun_ = true;
  state.mesh.advance();
  if (!arrived() || !state.mesh.flushed()) return false;
  finish();
  --state.under_way;
  return true;
}

// Reads what is sent, not before it is this operation's turn.
void Operation::begin() {
  const auto post = [&](const Call& call, int peer) {
    const Header header{call.kind, static_cast<std::uint32_t>(call.type), call.count, state_->stream->gpu};
    state_->mesh.post(peer, &header, sizeof header);
    state_->mesh.post(peer, call.from, size_of(call));
  };
  for (const Call& call : calls_) {
    if (call.kind == Kind::send) post(call, call.peer);
    for (int peer = 0; call.kind == Kind::all_reduce && peer < state_->size; ++peer)
      if (peer != state_->rank) post(call, peer);
  }
}

// Nobody may rely on what an aborted operation leaves.
void Operation::poison() const {
  for (const Call& call : calls_)
    if (call.to) std::memset(call.to, 0x55, size_of(call));
}

bool Operation::arrived() {
  for (int peer = 0; peer < state_->size; ++peer) {
    std::size_t needed = 0;
    for (const Call& call : calls_)
      if (peer != state_->rank && receives_from(call, peer)) needed += sizeof(Header) + size_of(call);
    const bool whole = state_->mesh.inbox(peer).size() >= needed;
    if (!whole && state_->mesh.gone(peer)) state_->result = ncclRemoteError;
    if (!whole) return false;
  }
  return true;
}

void Operation::finish() {
  const auto take = [&](const Call& call, int peer) {
    std::string& inbox = state_->mesh.inbox(peer);
    Header header;
    std::memcpy(&header, inbox.data(), sizeof header);
    const Kind expected = call.kind == Kind::receive ? Kind::send : call.kind;
    if (header.kind != expected || header.count != call.count || header.type != static_cast<std::uint32_t>(call.type))
      throw std::logic_error("two ranks do not mean the same operation");
    if (header.gpu == state_->stream->gpu) throw std::logic_error("two ranks of a communicator have one GPU");
    std::string data = inbox.substr(sizeof header, size_of(call));
    inbox.erase(0, sizeof header + size_of(call));
    return data;
  };
  for (const Call& call : calls_) {
    if (call.kind == Kind::receive) std::memcpy(call.to, take(call, call.peer).data(), size_of(call));
    if (call.kind != Kind::all_reduce) continue;
    std::vector<std::string> data;
    for (int rank = 0; rank < state_->size; ++rank)
      data.push_back(rank == state_->rank ? std::string(static_cast<const char*>(call.from), size_of(call))
                                          : take(call, rank));
    if (call.type == ncclFloat32)
      add<float>(call, data);
    else
      add<std::uint32_t>(call, data);
  }
}

}  // namespace thresher::fake_nccl
