#include "device/cuda/runtime/lane.h"

#include "device/cuda/runtime/memory.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

class CudaLane : public Lane {
 public:
  CudaLane(int gpu, cudaStream_t steps) : gpu_(gpu), steps_(steps) {
    choose();
    stream_ = make_stream();
    event_ = make_event(false);
  }

  void* queue() override {
    choose();
    return stream_.raw();
  }

  void follow_steps() override { order(steps_, stream_.raw()); }
  void precede_steps() override { order(stream_.raw(), steps_); }

  void copy(const Tensor& from, const Tensor& to) override {
    if (from.dtype != to.dtype || from.rows != to.rows || from.columns != to.columns)
      base::fail(base::Exit::internal, "a copy between tensors of different shapes");
    choose();
    cuda::copy(from, to, cudaMemcpyDeviceToDevice, steps_);
  }

 private:
  void choose() { check(cudaSetDevice(gpu_), "choosing the GPU"); }

  // A wait is for the event as it is when the wait is queued: one event serves all.
  void order(cudaStream_t first, cudaStream_t second) {
    choose();
    check(cudaEventRecord(event_.raw(), first), "marking a place");
    check(cudaStreamWaitEvent(second, event_.raw(), 0), "ordering two queues");
  }

  const int gpu_;
  const cudaStream_t steps_;
  StreamHandle stream_;
  EventHandle event_;
};

}  // namespace

std::unique_ptr<Lane> make_lane(int gpu, cudaStream_t steps) {
  return std::make_unique<CudaLane>(gpu, steps);
}

}  // namespace thresher::device::cuda
