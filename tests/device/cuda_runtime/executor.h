// Who does the work of the fake's streams, and when: whoever waits for it, and where other processes wait for it a
// thread, a little later.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "device/cuda_runtime/stream.h"

namespace thresher::device::fake {

// Held around everything that belongs to streams.
std::recursive_mutex& gate();

std::vector<CUstream_st*>& streams();

// The next piece of a stream's work, or of what it comes after. False if it cannot be done yet. Under the gate.
bool advance(CUstream_st& stream);
void put(CUstream_st& stream, Work work);
// Until the stream's first `place` pieces of work are done. Not to be called under the gate.
void run_until(CUstream_st& stream, std::int64_t place);
void run_all();

cudaError_t& failure();

}  // namespace thresher::device::fake
