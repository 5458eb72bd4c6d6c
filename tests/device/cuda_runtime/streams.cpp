#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "device/cuda_runtime/executor.h"
#include "device/cuda_runtime/fake.h"
#include "device/cuda_runtime/memory.h"
#include "device/emulation/block.h"

// What CUDA leaves undefined: an event is a place in a stream.
struct CUevent_st {
  CUstream_st* stream = nullptr;
  std::int64_t place = 0;
  std::chrono::steady_clock::time_point time;
  bool timed = false;
};

namespace thresher::device::fake {
namespace {

std::map<const char*, std::int64_t>& allocations() {
  static std::map<const char*, std::int64_t> map;
  return map;
}

// This thread asked for an event before its time: its last error, though none.
bool& not_ready() {
  thread_local bool asked = false;
  return asked;
}

int& current_gpu() {
  thread_local int gpu = 0;
  return gpu;
}

std::vector<std::unique_ptr<CUstream_st>>& gone() {
  static std::vector<std::unique_ptr<CUstream_st>> list;
  return list;
}

std::map<const char*, std::int64_t>& pinned() {
  static std::map<const char*, std::int64_t> map;
  return map;
}

bool inside(const std::map<const char*, std::int64_t>& blocks, const void* first, std::int64_t bytes) {
  const auto* const begin = static_cast<const char*>(first);
  auto block = blocks.upper_bound(begin);
  if (block == blocks.begin()) return false;
  --block;
  return begin + bytes <= block->first + block->second;
}

}  // namespace

// THRESHER_FAKE_GPUS, THRESHER_FAKE_GPU_MEMORY: how many GPUs there are and their bytes, for programs that are tested
// from outside.
Settings& settings() {
  static Settings one = [] {
    Settings settings;
    if (const char* const gpus = std::getenv("THRESHER_FAKE_GPUS")) settings.gpus = std::atoi(gpus);
    if (const char* const bytes = std::getenv("THRESHER_FAKE_GPU_MEMORY")) settings.memory = std::atoll(bytes);
    return settings;
  }();
  return one;
}

Counts& counts() {
  static Counts one;
  return one;
}

namespace {
std::chrono::steady_clock::duration& passed() {
  static std::chrono::steady_clock::duration time{};
  return time;
}
}  // namespace

void pass(double milliseconds) {
  passed() += std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double, std::milli>(milliseconds));
}

void break_kernel() {
  const std::lock_guard lock(gate());
  failure() = cudaErrorIllegalAddress;
}

void submit(void* stream, std::function<void()> work) {
  const auto run = [work = std::move(work)] {
    work();
    return true;
  };
  put(*static_cast<CUstream_st*>(stream), {.run = run});
}

// Kernels go where everything else on a stream goes.
const bool kernels_on_streams = [] {
  emulation::streams() = submit;
  return true;
}();

void expect_device_memory(const void* first, std::int64_t bytes, const char* what) {
  if (!inside(allocations(), first, bytes)) throw std::logic_error(std::string(what) + " is not in the GPU's memory");
}

}  // namespace thresher::device::fake

namespace fake = thresher::device::fake;

extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  *version = fake::settings().driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  if (fake::settings().code != 0) return static_cast<cudaError_t>(fake::settings().code);
  *count = fake::settings().gpus;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int gpu) {
  *properties = {};
  properties->uuid.bytes[15] = static_cast<char>(gpu);
  std::strcpy(properties->name, "NVIDIA Fake");
  properties->major = 9;
  const char* const processors = std::getenv("THRESHER_FAKE_PROCESSORS");
  properties->multiProcessorCount = processors ? std::atoi(processors) : 132;
  properties->totalGlobalMem = static_cast<std::size_t>(fake::settings().memory);
  properties->hostNumaId = -1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int gpu) {
  if (gpu < 0 || gpu >= fake::settings().gpus) return cudaErrorInvalidDevice;
  fake::current_gpu() = gpu;
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t code) {
  return code == cudaSuccess ? "no error" : "an error";
}
const char* cudaGetErrorName(cudaError_t code) {
  return code == cudaErrorIllegalAddress ? "cudaErrorIllegalAddress" : "cudaError";
}
cudaError_t cudaGetLastError() {
  const bool asked_early = std::exchange(fake::not_ready(), false);
  return fake::failure() == cudaSuccess && asked_early ? cudaErrorNotReady : fake::failure();
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = static_cast<std::size_t>(fake::settings().memory);
  *free = static_cast<std::size_t>(fake::settings().memory - fake::counts().bytes);
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  fake::Counts& counts = fake::counts();
  if (counts.bytes + static_cast<std::int64_t>(bytes) > fake::settings().memory) return cudaErrorMemoryAllocation;
  *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*data, 0xff, bytes);
  fake::allocations()[static_cast<char*>(*data)] = static_cast<std::int64_t>(bytes);
  counts.bytes += static_cast<std::int64_t>(bytes);
  counts.most_bytes = std::max(counts.most_bytes, counts.bytes);
  return cudaSuccess;
}
// Waits for everything, as the real one does.
cudaError_t cudaFree(void* data) {
  fake::run_all();
  const auto block = fake::allocations().find(static_cast<char*>(data));
  if (block == fake::allocations().end()) throw std::logic_error("memory that was never allocated is freed");
  fake::counts().bytes -= block->second;
  fake::allocations().erase(block);
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** data, std::size_t bytes) {
  *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*data, 0xff, bytes);
  fake::pinned()[static_cast<char*>(*data)] = static_cast<std::int64_t>(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  fake::run_all();
  if (data && fake::pinned().erase(static_cast<char*>(data)) == 0)
    throw std::logic_error("host memory that was never pinned is freed");
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  (*stream)->gpu = fake::current_gpu();
  (*stream)->submit = fake::put;
  (*stream)->expect_memory = fake::expect_device_memory;
  const std::lock_guard lock(fake::gate());
  fake::streams().push_back(*stream);
  return cudaSuccess;
}
// Events may name it for longer.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  fake::run_until(*stream, stream->given);
  const std::lock_guard lock(fake::gate());
  std::erase(fake::streams(), stream);
  fake::gone().emplace_back(stream);
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  fake::run_all();
  return fake::failure();
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  fake::run_until(*stream, stream->given);
  return fake::failure();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (event->stream) fake::put(*stream, {.after = event->stream, .place = event->place});
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st;
  (*event)->timed = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event->stream) fake::run_until(*event->stream, std::min(event->place, event->stream->given));
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::lock_guard lock(fake::gate());
  event->stream = stream;
  event->place = stream->given + 1;
  fake::submit(stream, [event] { event->time = std::chrono::steady_clock::now() + fake::passed(); });
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->stream) fake::run_until(*event->stream, event->place);
  return fake::failure();
}
// Who asks often enough sees the work done.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard lock(fake::gate());
  if (!event->stream || event->stream->done >= event->place) return fake::failure();
  fake::advance(*event->stream);
  fake::not_ready() = true;
  return cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  for (const cudaEvent_t event : {begin, end})
    if (!event->timed || !event->stream || event->stream->done < event->place)
      throw std::logic_error("a time is read before it is there");
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t rows, cudaMemcpyKind kind, cudaStream_t stream) {
  if (width > to_pitch || width > from_pitch) return cudaErrorInvalidPitchValue;
  if (rows == 0 || width == 0) return cudaSuccess;
  const auto extent = [&](std::size_t pitch) { return static_cast<std::int64_t>((rows - 1) * pitch + width); };
  const bool up = kind == cudaMemcpyHostToDevice, down = kind == cudaMemcpyDeviceToHost;
  if (!down) fake::expect_device_memory(to, extent(to_pitch), "a copy's end");
  if (!up) fake::expect_device_memory(from, extent(from_pitch), "a copy's beginning");
  // Others would not be asynchronous.
  if (up && !fake::inside(fake::pinned(), from, extent(from_pitch)))
    throw std::logic_error("a copy of unpinned memory");
  if (down && !fake::inside(fake::pinned(), to, extent(to_pitch))) throw std::logic_error("a copy to unpinned memory");
  fake::submit(stream, [=] {
    for (std::size_t r = 0; r < rows; ++r)
      std::memmove(static_cast<char*>(to) + r * to_pitch, static_cast<const char*>(from) + r * from_pitch, width);
  });
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  fake::expect_device_memory(data, static_cast<std::int64_t>(bytes), "memory to be filled");
  fake::submit(stream, [=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}

}  // extern "C"
