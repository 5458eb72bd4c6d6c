// The HDF5 library's part in a run directory, as pure functions: bytes to rows, and a plan to a layout.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/hdf5_write.h"
#include "thresher/store/result.h"
#include "thresher/store/run_directory.h"

namespace thresher::store {

// The simulation of whole jobs remembers answers: the library takes half a millisecond for each of them.
class Codec {
 public:
  virtual ~Codec() = default;
  // The attribute `job` of a part that check_part has found good.
  virtual std::optional<std::string> job_of(std::string_view part, const std::string& name);
  // As store::read_part.
  virtual Rows read(std::string_view part, const Columns& columns, const std::string& name);
  virtual hdf5::Layout lay_out(const hdf5::FilePlan& plan);
};

}  // namespace thresher::store
