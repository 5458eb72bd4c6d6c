// CUDA's error codes as base::Error, and owners of its handles.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <string>

#include "thresher/base/handle.h"

namespace thresher::device::cuda {

// Throws base::Error (os) unless the code says success; `doing` is what was tried: "copying to the GPU".
void check(cudaError_t code, const char* doing);
void check(cublasStatus_t status, const char* doing);

// Whether the GPU has come to the event, or it was never recorded. Throws as `check`.
bool reached(cudaEvent_t event, const char* doing);

using StreamHandle = base::Handle<cudaStream_t, cudaStreamDestroy>;
using EventHandle = base::Handle<cudaEvent_t, cudaEventDestroy>;
using BlasHandle = base::Handle<cublasLtHandle_t, cublasLtDestroy>;
using ProductHandle = base::Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using LayoutHandle = base::Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using PreferenceHandle = base::Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

StreamHandle make_stream();
EventHandle make_event(bool timed);

}  // namespace thresher::device::cuda
