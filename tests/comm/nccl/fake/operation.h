// What a communicator has been asked for, done when its stream comes to it.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "comm/nccl/fake/faults.h"
#include "comm/nccl/fake/mesh.h"

namespace thresher::fake_nccl {

enum class Kind : std::uint32_t { all_reduce, send, receive };

struct Call {
  Kind kind = Kind::send;
  const void* from = nullptr;
  void* to = nullptr;
  std::size_t count = 0;
  ncclDataType_t type = ncclFloat32;
  int peer = -1;
};

// Shared by the handle and by what lies on streams, which may be there for longer.
struct State {
  State(const std::string& name, int own_rank, int ranks) : mesh(name, own_rank, ranks), rank(own_rank), size(ranks) {}

  std::mutex mutex;
  Mesh mesh;
  const int rank, size;
  ncclResult_t result = ncclInProgress;
  bool connected = false, aborted = false, finalizing = false;
  int looks = 0;                  // left until what was called for is under way
  CUstream_st* stream = nullptr;  // the first one used: no other is allowed
  long under_way = 0;             // operations not done
};

class Operation {
 public:
  Operation(std::shared_ptr<State> state, std::vector<Call> calls, Fault fault)
      : state_(std::move(state)), calls_(std::move(calls)), fault_(fault) {}

  // Asked again and again by the stream; true when it is done.
  bool advance();

 private:
  void begin();
  void poison() const;
  bool arrived();
  void finish();

  const std::shared_ptr<State> state_;
  const std::vector<Call> calls_;
  Fault fault_;
  bool begun_ = false;
};

std::size_t bytes_of(ncclDataType_t type);

}  // namespace thresher::fake_nccl
