#include "device/cuda/runtime/slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

constexpr std::int64_t most_measured = std::int64_t{64} << 20;  // enough to reach the link's full rate

}  // namespace

Slots::Slots(int gpu, cudaStream_t steps, Timeline& timeline)
    : gpu_(gpu), steps_(steps), copies_(make_stream()), timeline_(timeline) {
  for (Slot& slot : slots_) {
    slot.released = make_event(false);
    slot.arrived = make_event(false);
  }
}

// What is copied belongs to the weights, which may go after this.
Slots::~Slots() {
  static_cast<void>(cudaSetDevice(gpu_));
  static_cast<void>(cudaStreamSynchronize(copies_.raw()));
}

void Slots::make(std::int64_t bytes) {
  check(cudaStreamSynchronize(copies_.raw()), "waiting for weights");
  for (Slot& slot : slots_) {
    grow(slot.memory, gpu_, bytes);
    ++slot.visits;
  }
}

void Slots::bring(std::span<Weight* const> weights, int index) {
  Slot& slot = slots_.at(static_cast<std::size_t>(index));
  std::int64_t bytes = 0;
  for (const Weight* weight : weights) bytes += weight->bytes();
  if (bytes > slot.memory.bytes())
    base::fail(base::Exit::internal, fmt::format("weights of {} bytes for a slot of {}", bytes, slot.memory.bytes()));
  ++slot.visits;
  slot.awaited = false;
  check(cudaEventRecord(slot.released.raw(), steps_), "marking a slot's last use");
  check(cudaStreamWaitEvent(copies_.raw(), slot.released.raw()), "waiting for a slot");
  char* at = static_cast<char*>(slot.memory.data());
  for (Weight* one : weights) {
    auto& weight = dynamic_cast<CudaWeight&>(*one);
    if (weight.residence() != Residence::host)
      base::fail(base::Exit::internal, "a weight is brought that lives on the device");
    check(cudaMemcpyAsync(at, weight.image(), static_cast<std::size_t>(weight.bytes()), cudaMemcpyHostToDevice,
                          copies_.raw()),
          "copying weights to the GPU");
    weight.place(at, {index, slot.visits});
    at += weight.bytes();
  }
  check(cudaEventRecord(slot.arrived.raw(), copies_.raw()), "marking weights");
  time_.bytes += bytes;
}

void Slots::await(const CudaWeight& weight) {
  if (weight.residence() == Residence::device) return;
  const Visit& visit = weight.visit();
  if (visit.slot < 0 || slots_[static_cast<std::size_t>(visit.slot)].visits != visit.number)
    base::fail(base::Exit::internal, fmt::format("a step asks for a weight of {} x {} that is not on the device",
                                                 weight.outputs(), weight.inputs()));
  Slot& slot = slots_[static_cast<std::size_t>(visit.slot)];
  if (slot.awaited) return;
  const std::size_t stretch = timeline_.begin(steps_);
  check(cudaStreamWaitEvent(steps_, slot.arrived.raw()), "waiting for weights");
  timeline_.end(stretch, steps_, time_.waited);
  slot.awaited = true;
}

double Slots::measure(double seconds) {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the free memory");
  const std::int64_t measured_bytes = std::min(most_measured, static_cast<std::int64_t>(free) / 4);
  const Buffer from = pinned_buffer(gpu_, measured_bytes), to = device_buffer(gpu_, measured_bytes);
  const auto copy = [&] {
    check(cudaMemcpyAsync(to.data(), from.data(), static_cast<std::size_t>(measured_bytes), cudaMemcpyHostToDevice,
                          copies_.raw()),
          "measuring a copy");
    check(cudaStreamSynchronize(copies_.raw()), "measuring a copy");
  };
  const auto passed = [start = std::chrono::steady_clock::now()] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  copy();  // wakes the link
  const double begin = passed();
  int copies = 0;
  do {
    copy();
    ++copies;
  } while (passed() < begin + seconds);
  return copies * static_cast<double>(measured_bytes) / (passed() - begin);
}

}  // namespace thresher::device::cuda
