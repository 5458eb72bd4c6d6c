// What `inspect` says about an HDF5 file.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "store/hdf5_read.h"
#include "store/part_file.h"
#include "thresher/base/check.h"
#include "thresher/store/export.h"
#include "thresher/store/result.h"

namespace thresher::store {
namespace {

constexpr std::int64_t rows_at_once = std::int64_t{1} << 20;

std::string counts(const hdf5::InputColumn& status) {
  std::map<std::uint8_t, std::int64_t> found;
  for (std::int64_t first = 0; first < status.rows(); first += rows_at_once) {
    for (const std::uint8_t code : status.read<std::uint8_t>(first, std::min(rows_at_once, status.rows() - first)))
      ++found[code];
  }
  const std::vector<std::string> names = status.text_attribute("names");
  std::string text;
  for (const auto& [code, count] : found) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count,
                        code < names.size() ? names[code] : fmt::format("status {}", code));
  }
  return text;
}

std::string describe_column(const hdf5::InputFile& file, const std::string& name) {
  const hdf5::InputColumn column = file.column(name);
  const std::string width = column.width() == 1 ? "" : fmt::format(" x {}", column.width());
  std::string line = fmt::format("  {:<20} {:<10} {}{}\n", name, column.type_name(), column.rows(), width);
  if (name.ends_with("/status")) line += fmt::format("  {:<20} {}\n", "", counts(column));
  return line;
}

std::string describe(const hdf5::InputFile& file, std::int64_t bytes) {
  const auto version = file.integer_attribute("version");
  std::string text =
      fmt::format("{}\n  format: {}{}\n  size: {} bytes\n", file.name(), file.text_attribute("format").value_or("HDF5"),
                  version ? fmt::format(", version {}", *version) : "", bytes);
  for (const char* name : {"tokenizer", "source_digest", "plan"}) {
    if (const auto value = file.text_attribute(name)) text += fmt::format("  {}: {}\n", name, *value);
  }
  for (const std::string& name : file.datasets()) text += describe_column(file, name);
  return text;
}

// Parts end in a trailer, which the library would take for a damaged end.
bool is_part(const base::Path& path, std::int64_t bytes) {
  if (bytes < 64) return false;
  char magic[7] = {};
  base::real_files().open(path)->read_at(bytes - 64, std::as_writable_bytes(std::span(magic)));
  return std::string_view(magic, sizeof magic) == "THRPART";
}

}  // namespace

std::string describe_hdf5(const base::Path& path) {
  const std::int64_t bytes = base::real_files().open(path)->size();
  if (!is_part(path, bytes)) return describe(hdf5::InputFile(path), bytes);
  const std::string part = base::read_all(base::real_files(), path, part_file_limit);
  const PartInfo info = check_part(part, path.string());
  const hdf5::InputFile file(std::string_view(part).substr(0, part.size() - 64), path.string());
  return describe(file, bytes) + fmt::format("  shard {}: documents {} to {}, {} rows of tokens, digest {} (correct)\n",
                                             info.shard, info.first, info.first + info.rows, info.tokens,
                                             info.digest.hex());
}

}  // namespace thresher::store
