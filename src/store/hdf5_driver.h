// Lets the HDF5 library read through the file system interface, so that it never opens a file by itself.
#pragma once

#include "store/hdf5.h"
#include "thresher/base/file.h"

namespace thresher::store::hdf5 {

// Files that are opened with `access`, a list of access properties, are `file`, whatever their name; it must outlive
// them. They cannot be written. What reading throws comes out of hdf5::check.
void read_through(const base::ReadFile& file, const Properties& access);

}  // namespace thresher::store::hdf5
