#include "store/part_file.h"

#include <fmt/format.h>

#include <charconv>

#include "thresher/base/check.h"

namespace thresher::store {

std::string part_name(std::int64_t shard) {
  return fmt::format("part-{:08}.h5", shard);
}

std::optional<std::int64_t> shard_of(std::string_view name) {
  std::int64_t shard = -1;
  if (!name.starts_with("part-") || !name.ends_with(".h5")) return std::nullopt;
  const std::string_view digits = name.substr(5, name.size() - 8);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), shard);
  if (error != std::errc() || shard < 0 || part_name(shard) != name) return std::nullopt;
  return shard;
}

void check_place(const PartInfo& info, const Plan& plan, std::int64_t shard, const std::string& name) {
  if (shard >= plan.shard_count() || info.shard != shard) {
    base::fail(base::Exit::data,
               fmt::format("{} holds shard {}, expected {} of {}", name, info.shard, shard, plan.shard_count()));
  }
  const std::int64_t first = plan.shards[static_cast<std::size_t>(shard)];
  const std::int64_t rows = plan.shards[static_cast<std::size_t>(shard) + 1] - first;
  if (info.first != first || info.rows != rows) {
    base::fail(base::Exit::data, fmt::format("{} holds {} documents from {}, the plan says {} from {}", name, info.rows,
                                             info.first, rows, first));
  }
}

std::string read_checked_part(base::FileSystem& files, const base::Path& path, const Plan& plan, std::int64_t shard) {
  std::string part = base::read_all(files, path, part_file_limit, base::Links::refuse);
  check_place(check_part(part, path.string()), plan, shard, path.string());
  return part;
}

}  // namespace thresher::store
