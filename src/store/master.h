// A sharded results.h5: virtual datasets over the parts, and the table that they are checked by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "store/hdf5_read.h"
#include "store/hdf5_write.h"
#include "thresher/base/file.h"
#include "thresher/store/result.h"

namespace thresher::store {

// Attribute of such a file; a gathered one has none.
inline constexpr const char* master_version_name = "parts_version";
inline constexpr std::int64_t newest_master_version = 1;

// "parts/part-00000012.h5", as the virtual datasets name it.
std::string source_name(std::int64_t shard);

// Columns of the table, one row for each part, as they follow the columns of results.
enum class TableColumn : std::uint8_t { name, first, rows, tokens, digest };
inline constexpr std::size_t table_columns = 5;

// Makes `file`, a plan of gathered results, one over these parts.
void plan_master(hdf5::FilePlan& file, const std::vector<PartInfo>& parts, const Columns& columns);

// Writes the table; its columns begin at `at`.
void write_table(hdf5::ColumnWriter& writer, std::size_t at, const std::vector<PartInfo>& parts);

// True if the file says it is one. Throws base::Error (data) for a version that is not known here.
bool is_master(const hdf5::InputFile& file);

// The table: parts in order, without gaps. Throws base::Error (data).
std::vector<PartInfo> read_table(const hdf5::InputFile& file);

// Throws base::Error (data) unless every column of results, but /id and /token/offsets, is a virtual dataset over
// exactly these parts under parts/.
void expect_mappings(const hdf5::InputFile& file, const std::vector<PartInfo>& parts, const Columns& columns);

// The bytes of a part that a table tells of. Throws base::Error (data) when it is missing, a link, damaged or another
// one.
std::string read_listed_part(base::FileSystem& files, const base::Path& directory, const PartInfo& part);

}  // namespace thresher::store
