// libnccl.so.2 for tests: NCCL's functions as far as src/comm/nccl_* calls them, between real processes, on the streams
// of the fake of CUDA (tests/device/cuda_runtime). As strict as we know the real ones to be, and as slow: communicators
// and operations come about some looks after they were asked for.
#include <cuda_runtime.h>
#include <nccl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "comm/nccl/fake/operation.h"
#include "device/cuda_runtime/stream.h"

namespace fake = thresher::fake_nccl;

struct ncclComm {
  std::shared_ptr<fake::State> state;
  std::function<void()> start;  // what was called for and is not under way
};

namespace {

constexpr int looks_until_start = 2;

// Of this thread: NCCL's groups are too.
struct Group {
  int depth = 0;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  std::vector<fake::Call> calls;
};
thread_local Group group;

long& operations() {
  static long count = 0;
  return count;
}

ncclResult_t wrong(const char* what) {
  std::fprintf(stderr, "fake NCCL: %s\n", what);
  return ncclInvalidUsage;
}

// Everything of a group begins together.
ncclResult_t begin() {
  const Group asked = std::exchange(group, {});
  if (asked.calls.empty()) return ncclSuccess;
  const fake::Fault fault = fake::fault_of(++operations());
  if (fault == fake::Fault::refuse) {
    fake::log_strike();
    return ncclSystemError;
  }
  const auto state = asked.comm->state;
  const std::lock_guard lock(state->mutex);
  if (state->stream && state->stream != asked.stream) return wrong("two streams for one communicator");
  state->stream = asked.stream;
  if (state->result != ncclSuccess) return state->result;
  state->result = ncclInProgress;
  state->looks = looks_until_start;
  ++state->under_way;
  const auto operation = std::make_shared<fake::Operation>(state, asked.calls, fault);
  asked.comm->start = [operation, stream = asked.stream] {
    stream->submit(*stream, {.run = [operation] { return operation->advance(); }, .awaited = true});
  };
  return ncclInProgress;
}

ncclResult_t call(const fake::Call& one, ncclComm_t comm, cudaStream_t stream) {
  if (!stream) return wrong("an operation on the default stream");
  if (one.count == 0) return wrong("an operation on nothing");
  if (group.comm && (group.comm != comm || group.stream != stream)) return wrong("a group of two communicators");
  if (one.peer >= comm->state->size || one.peer == comm->state->rank) return wrong("an impossible peer");
  {
    const std::lock_guard lock(comm->state->mutex);
    if (comm->state->result == ncclInProgress) return wrong("an operation before the last one has begun");
    if (comm->state->result != ncclSuccess) return comm->state->result;
  }
  const auto bytes = static_cast<std::int64_t>(one.count * fake::bytes_of(one.type));
  if (one.from) stream->expect_memory(one.from, bytes, "what NCCL reads");
  if (one.to) stream->expect_memory(one.to, bytes, "what NCCL writes");
  group.comm = comm;
  group.stream = stream;
  group.calls.push_back(one);
  return group.depth == 0 ? begin() : ncclSuccess;
}

// A look at a communicator moves it on.
ncclResult_t look(ncclComm_t comm) {
  fake::State& state = *comm->state;
  std::function<void()> start;
  ncclResult_t result;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.connected) {
      state.connected = state.mesh.connected();
      if (state.connected) state.result = ncclSuccess;
    } else if (state.finalizing && state.result == ncclInProgress) {
      state.mesh.advance();
      if (state.under_way == 0 && state.mesh.flushed()) state.result = ncclSuccess;
    } else if (comm->start && --state.looks == 0) {
      start = std::exchange(comm->start, {});
      if (state.result == ncclInProgress) state.result = ncclSuccess;
    }
    result = state.result;
  }
  if (start) start();
  return result;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  const std::string given = fake::setting("FAKE_NCCL_VERSION");
  *version = given.empty() ? NCCL_VERSION_CODE : std::atoi(given.c_str());
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError   ? "remote process exited or there was a network error"
         : result == ncclSystemError ? "unhandled system error"
                                     : "an error";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int count = 0;
  std::snprintf(id->internal, sizeof id->internal, "thresher-fake-nccl-%d-%d", getpid(), ++count);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (config->magic != 0xcafebeef || config->blocking != 0 || rank < 0 || rank >= size) return ncclInvalidArgument;
  if (fake::fault_of(0) == fake::Fault::connect) {
    fake::log_strike();
    return ncclSystemError;
  }
  *comm = new ncclComm{std::make_shared<fake::State>(id.internal, rank, size), {}};
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* result) {
  *result = look(comm);
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const std::lock_guard lock(comm->state->mutex);
  if (comm->state->result != ncclSuccess) return comm->state->result;
  comm->state->finalizing = true;
  return comm->state->result = ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (!comm->state->finalizing || comm->state->result != ncclSuccess) return wrong("destroyed before its end");
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  {
    const std::lock_guard lock(comm->state->mutex);
    comm->state->aborted = true;
  }
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++group.depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group.depth == 0) return wrong("a group ends that has not begun");
  return --group.depth == 0 ? begin() : ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  if (op != ncclSum) return ncclInvalidArgument;
  return call({fake::Kind::all_reduce, from, to, count, type, -1}, comm, stream);
}

ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return call({fake::Kind::send, from, nullptr, count, type, peer}, comm, stream);
}

ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return call({fake::Kind::receive, nullptr, to, count, type, peer}, comm, stream);
}

}  // extern "C"
