#include "store/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/master.h"
#include "store/part_file.h"
#include "store/seal.h"
#include "thresher/base/check.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;

constexpr std::int64_t newest_version = 1;

hdf5::InputFile open_results(base::FileSystem& files, const base::Path& path) {
  const bool sealed = check_seal(files, path);
  hdf5::InputFile file(files, path);
  expect_format(file, "thresher-results", newest_version);
  if (!sealed && is_master(file))
    fail(Exit::data, file.name() + " does not end in its digest: it was cut or overwritten");
  return file;
}

}  // namespace

void expect_format(const hdf5::InputFile& file, std::string_view format, std::int64_t newest) {
  const std::string found = file.text_attribute("format").value_or("of no format we know");
  if (found != format) fail(Exit::data, fmt::format("{} is {}, expected {}", file.name(), found, format));
  const std::int64_t version = file.integer_attribute("version").value_or(0);
  if (version < 1 || version > newest) {
    fail(Exit::data,
         fmt::format("{} is {} of version {}, this program reads 1 to {}", file.name(), format, version, newest));
  }
}

struct ResultsFile::Part {
  Part(std::int64_t number, std::string content, const std::string& name, const Columns& columns)
      : shard(number), bytes(std::move(content)), file(image_of(bytes), name), rows(file, columns) {}
  std::int64_t shard;
  std::string bytes;
  hdf5::InputFile file;
  RowReader rows;
};

ResultsFile::ResultsFile(base::FileSystem& files, const base::Path& path, PartCheck check)
    : files_(files),
      file_(open_results(files, path)),
      directory_(path.parent_path() / "parts"),
      columns_(columns_of(file_)),
      sharded_(is_master(file_)),
      ids_(file_.column("/id")),
      rows_(ids_.rows()) {
  if (!sharded_) {
    reader_.emplace(file_, columns_);
    ids_.expect(reader_->rows());
    return;
  }
  parts_ = read_table(file_);
  expect_mappings(file_, parts_, columns_);
  ids_.expect(parts_.empty() ? 0 : parts_.back().first + parts_.back().rows);
  for (const PartInfo& part : parts_) tokens_ += part.tokens;
  if (columns_.per_token) {
    offsets_.emplace(file_.column("/token/offsets"));
    offsets_->expect(rows_ + 1);
  }
  if (check == PartCheck::first) check_parts();
}

ResultsFile::~ResultsFile() = default;

void ResultsFile::check_parts() const {
  if (files_.entry(directory_) != base::Entry::directory) {
    fail(Exit::data,
         fmt::format("{} is not a directory: {} is a table over the parts in it, which have to stay beside it",
                     directory_.string(), file_.name()));
  }
  std::int64_t bad = 0;
  std::string first;
  for (const PartInfo& part : parts_) {
    try {
      read_listed_part(files_, directory_, part);
    } catch (const base::Error& error) {
      if (error.code() != Exit::data && error.code() != Exit::permission) throw;
      if (bad++ == 0) first = error.what();
    }
  }
  if (bad == 0) return;
  const std::string others = bad == 1 ? "" : fmt::format("; so or alike with {} of {} parts", bad, parts_.size());
  fail(Exit::data, fmt::format("{}{}: give the same score command again, which makes them anew", first, others));
}

const PartInfo& ResultsFile::part_at(std::int64_t document) const {
  const auto after = std::upper_bound(parts_.begin(), parts_.end(), document,
                                      [](std::int64_t d, const PartInfo& part) { return d < part.first; });
  return *std::prev(after);
}

const RowReader& ResultsFile::part_rows(const PartInfo& part) const {
  if (part_ && part_->shard == part.shard) return part_->rows;
  part_.reset();  // before the next one takes its memory
  const std::string name = (directory_ / part_name(part.shard)).string();
  part_ = std::make_unique<Part>(part.shard, read_listed_part(files_, directory_, part), name, columns_);
  if (part_->rows.rows() != part.rows || part_->rows.tokens() != part.tokens) {
    fail(Exit::data, fmt::format("{} holds {} rows and {} tokens, its trailer says {} and {}", name, part_->rows.rows(),
                                 part_->rows.tokens(), part.rows, part.tokens));
  }
  return part_->rows;
}

std::vector<std::uint64_t> ResultsFile::offsets(std::int64_t first, std::int64_t count) const {
  return sharded_ ? read_offsets(*offsets_, first, count, tokens_) : reader_->offsets(first, count);
}

std::int64_t ResultsFile::batch(std::int64_t first, std::int64_t most) const {
  most = std::min(most, rows() - first);
  if (!sharded_ || most <= 1) return most;
  const PartInfo& part = part_at(first);
  return std::min(most, part.first + part.rows - first);
}

std::int64_t ResultsFile::batch(std::int64_t first, std::int64_t most, std::int64_t tokens) const {
  most = batch(first, most);
  if (!columns_.per_token || most <= 1) return most;
  const std::vector<std::uint64_t> ends = offsets(first, most);
  const auto over = std::upper_bound(ends.begin() + 2, ends.end(), ends.front() + static_cast<std::uint64_t>(tokens));
  return over - ends.begin() - 1;
}

Rows ResultsFile::read(std::int64_t first, std::int64_t count, bool with_tokens) const {
  if (!sharded_) return reader_->read(first, count, with_tokens);
  const PartInfo& part = part_at(first);
  Rows rows = part_rows(part).read(first - part.first, count, with_tokens);
  rows.first = first;
  return rows;
}

}  // namespace thresher::store
