#include "device/cuda/runtime/status.h"

#include <fmt/format.h>

#include "thresher/base/check.h"

namespace thresher::device::cuda {

void check(cudaError_t code, const char* doing) {
  if (code == cudaSuccess) return;
  base::fail(base::Exit::os, fmt::format("CUDA failed at {}: {} ({}, code {})", doing, cudaGetErrorString(code),
                                         cudaGetErrorName(code), static_cast<int>(code)));
}

void check(cublasStatus_t status, const char* doing) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  base::fail(base::Exit::os, fmt::format("cuBLASLt failed at {}: {} (status {})", doing,
                                         cublasLtGetStatusString(status), static_cast<int>(status)));
}

bool reached(cudaEvent_t event, const char* doing) {
  const cudaError_t code = cudaEventQuery(event);
  if (code == cudaErrorNotReady) static_cast<void>(cudaGetLastError());  // it would be found again at the next launch
  if (code != cudaErrorNotReady) check(code, doing);
  return code == cudaSuccess;
}

StreamHandle make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return StreamHandle(stream);
}

EventHandle make_event(bool timed) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming), "making an event");
  return EventHandle(event);
}

}  // namespace thresher::device::cuda
