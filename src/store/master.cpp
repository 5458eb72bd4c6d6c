#include "store/master.h"

#include <fmt/format.h>

#include "store/columns.h"
#include "store/part_file.h"
#include "thresher/base/check.h"

namespace thresher::store {

using base::Exit;
using base::fail;
using hdf5::ColumnPlan;
using hdf5::Kind;

namespace {

constexpr std::int64_t digest_digits = 32;

}  // namespace

std::string source_name(std::int64_t shard) {
  return "parts/" + part_name(shard);
}

void plan_master(hdf5::FilePlan& file, const std::vector<PartInfo>& parts, const Columns& columns) {
  std::vector<std::int64_t> rows, tokens;
  for (std::size_t shard = 0; shard < parts.size(); ++shard) {
    file.sources.push_back(source_name(static_cast<std::int64_t>(shard)));
    rows.push_back(parts[shard].rows);
    tokens.push_back(parts[shard].tokens);
  }
  for (std::size_t i = 1; i < file.columns.size(); ++i) {  // after /id, which parts do not hold
    ColumnPlan& column = file.columns[i];
    if (columns.per_token && i == 1 + offsets_column(columns)) continue;  // those of the parts begin at 0
    column.source_rows = column.name.starts_with("/token/") ? tokens : rows;
  }
  const auto count = static_cast<std::int64_t>(parts.size());
  file.sealed = true;
  file.numbers.emplace_back(master_version_name, newest_master_version);
  file.columns.push_back(
      {"/parts/name", Kind::text, count, static_cast<std::int64_t>(part_name(count).size()), false, {}});
  file.columns.push_back({"/parts/first", Kind::i64, count, 1, false, {}});
  file.columns.push_back({"/parts/rows", Kind::i64, count, 1, false, {}});
  file.columns.push_back({"/parts/tokens", Kind::i64, count, 1, false, {}});
  file.columns.push_back({"/parts/digest", Kind::text, count, digest_digits, false, {}});
}

void write_table(hdf5::ColumnWriter& writer, std::size_t at, const std::vector<PartInfo>& parts) {
  std::vector<std::string> names, digests;
  std::vector<std::int64_t> firsts, rows, tokens;
  for (const PartInfo& part : parts) {
    names.push_back(part_name(part.shard));
    digests.push_back(part.digest.hex());
    firsts.push_back(part.first);
    rows.push_back(part.rows);
    tokens.push_back(part.tokens);
  }
  const auto index = [at](TableColumn column) { return at + static_cast<std::size_t>(column); };
  writer.append_text(index(TableColumn::name), names);
  writer.append(index(TableColumn::first), firsts);
  writer.append(index(TableColumn::rows), rows);
  writer.append(index(TableColumn::tokens), tokens);
  writer.append_text(index(TableColumn::digest), digests);
}

bool is_master(const hdf5::InputFile& file) {
  const auto version = file.integer_attribute(master_version_name);
  if (version && (*version < 1 || *version > newest_master_version)) {
    fail(Exit::data, fmt::format("{} is a table of parts of version {}, this program reads 1 to {}", file.name(),
                                 *version, newest_master_version));
  }
  return version.has_value();
}

std::vector<PartInfo> read_table(const hdf5::InputFile& file) {
  const hdf5::InputColumn names = file.column("/parts/name"), digests = file.column("/parts/digest");
  const std::int64_t count = names.rows();
  const auto numbers = [&](const char* path) { return file.column(path).expect(count).read<std::int64_t>(0, count); };
  const std::vector<std::int64_t> firsts = numbers("/parts/first"), rows = numbers("/parts/rows"),
                                  tokens = numbers("/parts/tokens");
  const std::vector<std::string> name_texts = names.expect(count).read_text(0, count);
  const std::vector<std::string> digest_texts = digests.expect(count).read_text(0, count);
  std::vector<PartInfo> parts;
  std::int64_t first = 0, all_tokens = 0;
  for (std::size_t i = 0; i < name_texts.size(); ++i) {
    const auto digest = base::digest_from_hex(digest_texts[i]);
    const PartInfo part{static_cast<std::int64_t>(i), firsts[i], rows[i], tokens[i], digest.value_or(base::Digest())};
    if (name_texts[i] != part_name(part.shard) || !digest || part.first != first || part.rows < 0 || part.tokens < 0 ||
        __builtin_add_overflow(first, part.rows, &first) ||
        __builtin_add_overflow(all_tokens, part.tokens, &all_tokens)) {
      fail(Exit::data, fmt::format("{}: row {} of /parts is '{}' with documents {} + {}, {} tokens, digest '{}', which "
                                   "cannot be: expected {}, documents from {}",
                                   file.name(), i, name_texts[i], firsts[i], rows[i], tokens[i], digest_texts[i],
                                   part_name(part.shard), part.first == first ? firsts[i] : first));
    }
    parts.push_back(part);
  }
  return parts;
}

void expect_mappings(const hdf5::InputFile& file, const std::vector<PartInfo>& parts, const Columns& columns) {
  std::int64_t rows = 0, tokens = 0;
  for (const PartInfo& part : parts) {
    rows += part.rows;
    tokens += part.tokens;
  }
  const std::vector<ColumnPlan> plan = plan_columns(columns, rows, tokens);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (columns.per_token && i == offsets_column(columns)) continue;
    const hdf5::InputColumn column = file.look_at(plan[i].name);
    column.expect(plan[i].rows, plan[i].width);
    std::vector<hdf5::MappedRows> expected;
    std::int64_t first = 0;
    for (const PartInfo& part : parts) {
      const std::int64_t count = plan[i].name.starts_with("/token/") ? part.tokens : part.rows;
      if (count > 0) expected.push_back({source_name(part.shard), plan[i].name, first, count});
      first += count;
    }
    if (column.mapping() != expected) {
      fail(Exit::data, fmt::format("{} is a virtual dataset that does not agree with the table of parts in the file, "
                                   "which is refused",
                                   column.name()));
    }
  }
}

std::string read_listed_part(base::FileSystem& files, const base::Path& directory, const PartInfo& part) {
  const base::Path path = directory / part_name(part.shard);
  const std::string name = path.string();
  if (!files.exists(path)) fail(Exit::data, name + " is missing");
  std::string bytes = base::read_all(files, path, part_file_limit, base::Links::refuse);
  if (const PartInfo there = check_part(bytes, name); !(there == part)) {
    fail(Exit::data, fmt::format("{} holds shard {}, {} documents from {}, {} tokens, digest {}; expected shard {}, {} "
                                 "from {}, {}, {}",
                                 name, there.shard, there.rows, there.first, there.tokens, there.digest.hex(),
                                 part.shard, part.rows, part.first, part.tokens, part.digest.hex()));
  }
  return bytes;
}

}  // namespace thresher::store
