#include "store/master.h"

#include "store/columns.h"
#include "store/part_file.h"

namespace thresher::store {

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

}  // namespace thresher::store
