#include "store/part_file.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "store/codec.h"
#include "thresher/base/check.h"

namespace thresher::store {

using base::Exit;
using base::fail;

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

PartInfo trailer_of(base::FileSystem& files, const base::Path& path) {
  const std::unique_ptr<base::ReadFile> file = files.open(path, base::Links::refuse);
  std::array<char, 64> end{};
  if (file->size() < static_cast<std::int64_t>(end.size()))
    fail(Exit::data, path.string() + " was cut: run the same command again");
  file->read_at(file->size() - static_cast<std::int64_t>(end.size()), std::as_writable_bytes(std::span(end)));
  return read_trailer(std::string_view(end.data(), end.size()), file->size(), path.string());
}

PartReader::PartReader(base::FileSystem& files, base::Path parts, const Plan& plan, Codec& codec)
    : files_(files), parts_(std::move(parts)), plan_(plan), codec_(codec), job_(plan.identity()) {}

void PartReader::expect_place(const PartInfo& info, std::int64_t shard) const {
  const std::string name = path(shard).string();
  if (shard >= plan_.shard_count() || info.shard != shard) {
    fail(Exit::data, fmt::format("{} holds shard {}, expected {} of {}", name, info.shard, shard, plan_.shard_count()));
  }
  const std::int64_t first = plan_.shards[static_cast<std::size_t>(shard)];
  const std::int64_t rows = plan_.shards[static_cast<std::size_t>(shard) + 1] - first;
  if (info.first != first || info.rows != rows) {
    fail(Exit::data, fmt::format("{} holds {} documents from {}, the plan says {} from {}", name, info.rows, info.first,
                                 rows, first));
  }
}

PartInfo PartReader::trailer(std::int64_t shard) const {
  const PartInfo info = trailer_of(files_, path(shard));
  expect_place(info, shard);
  return info;
}

std::string PartReader::read(std::int64_t shard) const {
  const std::string name = path(shard).string();
  std::string part = base::read_all(files_, path(shard), part_file_limit, base::Links::refuse);
  expect_place(check_part(part, name), shard);
  const auto job = codec_.job_of(part, name);
  if (job && *job != job_) fail(Exit::data, fmt::format("{} is of another job: {}, expected {}", name, *job, job_));
  return part;
}

}  // namespace thresher::store
