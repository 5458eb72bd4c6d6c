// Part files by name, and checked against the plan.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "thresher/store/run_directory.h"

namespace thresher::store {

inline constexpr std::int64_t part_file_limit = std::int64_t{64} << 30;

// "part-00000012.h5"
std::string part_name(std::int64_t shard);
// The other way round; nothing for another name.
std::optional<std::int64_t> shard_of(std::string_view name);

// Throws base::Error (data) unless the part is the plan's shard `shard`.
void check_place(const PartInfo& info, const Plan& plan, std::int64_t shard, const std::string& name);

// The bytes of a part: trailer, digest and place checked. Throws base::Error (data) when it is damaged.
std::string read_checked_part(base::FileSystem& files, const base::Path& path, const Plan& plan, std::int64_t shard);

}  // namespace thresher::store
