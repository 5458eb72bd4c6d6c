#include <fmt/format.h>

#include "comm/nccl_communicator.h"
#include "thresher/comm/nccl.h"

namespace thresher::comm {
namespace {

using tensor::Tensor;

// What both ends have: memory for the tensor that is on its way, and a lane to move it on.
class End {
 public:
  End(Comm& both, device::Device& device, std::int64_t bytes, std::string whose, NcclEnds ends)
      : device_(device),
        memory_(device.allocate(bytes)),
        lane_(device.make_lane()),
        queue_(static_cast<cudaStream_t>(lane_->queue())),
        communicator_(both, std::move(whose), ends) {}

 protected:
  // A view of the memory with the shape of `x`. Grows when nothing is under way.
  Tensor place_for(const Tensor& x) {
    if (x.dtype != tensor::DType::f32 || x.stride != x.columns)
      base::fail(base::Exit::internal, "a tensor between stages that is not dense, or not f32");
    if (const std::int64_t bytes = x.elements() * tensor::size_of(x.dtype); bytes > memory_.bytes()) {
      lane_->precede_steps();
      device_.finish();
      memory_ = {};  // the old one goes before the new one comes
      memory_ = device_.allocate(bytes);
    }
    return tensor::matrix(memory_.data(), x.dtype, x.rows, x.columns);
  }

  device::Device& device_;
  device::Buffer memory_;
  const std::unique_ptr<device::Lane> lane_;
  const cudaStream_t queue_;
  NcclCommunicator communicator_;  // ends before what it uses
};

class NcclOutlet : public DeviceOutlet, End {
 public:
  NcclOutlet(Comm& both, device::Device& device, std::int64_t bytes, std::string whose)
      : End(both, device, bytes, std::move(whose), NcclEnds::first) {}

  void send(const Tensor& x) override {
    if (x.elements() == 0) return;
    const Tensor out = place_for(x);
    lane_->precede_steps();  // the one before has left the memory
    lane_->copy(x, out);
    lane_->follow_steps();
    lane_->queue();
    communicator_.group("sending to the next stage", [&](const NcclLibrary& nccl, ncclComm_t comm) {
      return nccl.send(out.data, static_cast<std::size_t>(out.elements()), ncclFloat32, 1 - communicator_.rank(), comm,
                       queue_);
    });
  }
};

class NcclInlet : public DeviceInlet, End {
 public:
  NcclInlet(Comm& both, device::Device& device, std::int64_t bytes, std::string whose)
      : End(both, device, bytes, std::move(whose), NcclEnds::last) {}

  void receive(const Tensor& x) override {
    if (x.elements() == 0) return;
    const Tensor in = place_for(x);
    lane_->queue();
    communicator_.group("receiving from the stage before", [&](const NcclLibrary& nccl, ncclComm_t comm) {
      return nccl.recv(in.data, static_cast<std::size_t>(in.elements()), ncclFloat32, 1 - communicator_.rank(), comm,
                       queue_);
    });
    lane_->precede_steps();
    lane_->copy(in, x);
    lane_->follow_steps();  // the next one may come into the memory from here on, while this one is worked on
  }
};

}  // namespace

// Every second boundary first, then the others: those of a round do not wait for each other.
NcclPipes nccl_pipes(const Grid& grid, device::Device& device, std::int64_t bytes) {
  const Place place = grid.place();
  const int stages = grid.layout().stages, shards = grid.layout().shards;
  NcclPipes pipes;
  for (int round = 0; round < 2; ++round) {
    const int first = place.stage % 2 == round ? place.stage : place.stage - 1;  // of the boundary's two stages
    const bool alone = first < 0 || first + 1 >= stages;
    const int own = grid.replica().rank();
    const auto both = grid.replica().split(alone ? stages * shards + own : first * shards + place.shard, own);
    if (alone) continue;
    std::string whose =
        fmt::format("shard {} of replica {}'s stages {} and {}", place.shard, place.replica, first, first + 1);
    if (first == place.stage)
      pipes.after = std::make_unique<NcclOutlet>(*both, device, bytes, std::move(whose));
    else
      pipes.before = std::make_unique<NcclInlet>(*both, device, bytes, std::move(whose));
  }
  return pipes;
}

}  // namespace thresher::comm
