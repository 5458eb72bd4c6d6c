// Loading thresher_cuda.so.
#pragma once

#include <filesystem>

#include "device/cuda/entry.h"

namespace thresher::device::cuda {

// The table of the library at `file`. It stays loaded. Throws base::Error (unavailable): no such file, a library that
// it needs is missing, or a library of another build.
const Entry& load(const std::filesystem::path& file);

// Where the library belongs: in the folder of this program, or lib/thresher beside that folder.
std::filesystem::path library_file();

}  // namespace thresher::device::cuda
