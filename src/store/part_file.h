// Part files by name, and checked against the plan.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "thresher/base/file.h"
#include "thresher/store/plan.h"
#include "thresher/store/result.h"

namespace thresher::store {

inline constexpr std::int64_t part_file_limit = std::int64_t{64} << 30;

// "part-00000012.h5"
std::string part_name(std::int64_t shard);
// The other way round; nothing for another name.
std::optional<std::int64_t> shard_of(std::string_view name);

// The HDF5 file in the bytes of a part.
std::string_view image_of(std::string_view part);

// The trailer of a part file. Throws base::Error (data) when it was cut.
PartInfo trailer_of(base::FileSystem& files, const base::Path& path);

class Codec;

// The parts of one plan.
class PartReader {
 public:
  // `parts` is the directory; `plan` must outlive the object.
  PartReader(base::FileSystem& files, base::Path parts, const Plan& plan, Codec& codec);

  base::Path path(std::int64_t shard) const { return parts_ / part_name(shard); }
  // Throws base::Error (data) when it was cut or does not hold the plan's shard.
  PartInfo trailer(std::int64_t shard) const;
  // All bytes: trailer, digest, place and job checked. Throws base::Error (data) when the part is damaged or another
  // job's.
  std::string read(std::int64_t shard) const;

 private:
  void expect_place(const PartInfo& info, std::int64_t shard) const;

  base::FileSystem& files_;
  base::Path parts_;
  const Plan& plan_;
  Codec& codec_;
  std::string job_;
};

}  // namespace thresher::store
