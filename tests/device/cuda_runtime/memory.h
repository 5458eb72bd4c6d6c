// Which memory is the GPU's.
#pragma once

#include <cstdint>

namespace thresher::device::fake {

// Throws std::logic_error unless all of it lies in one live allocation.
void expect_device_memory(const void* first, std::int64_t bytes, const char* what);

}  // namespace thresher::device::fake
