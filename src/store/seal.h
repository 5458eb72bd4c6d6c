// A digest at the end of a file: 32 bytes behind the HDF5 data, which HDF5 does not look at. It is checked before the
// library opens the file, because damaged metadata can crash it.
#pragma once

#include <cstdint>
#include <string>

#include "thresher/base/file.h"

namespace thresher::store {

inline constexpr std::int64_t seal_bytes = 32;

// The seal of a file of `bytes` bytes, to be written after them.
std::string seal_of(const base::ReadFile& file, std::int64_t bytes);

// True if the file ends in a seal and the digest is right, false if it does not end in one. Throws base::Error (data)
// when the digest is wrong.
bool check_seal(base::FileSystem& files, const base::Path& path);

}  // namespace thresher::store
