// What `inspect` says about an HDF5 file.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "store/hdf5_read.h"
#include "store/master.h"
#include "store/part_file.h"
#include "store/results.h"
#include "store/seal.h"
#include "thresher/base/check.h"
#include "thresher/store/export.h"
#include "thresher/store/result.h"

namespace thresher::store {
namespace {

constexpr std::int64_t rows_at_once = std::int64_t{1} << 20;

class StatusCounts {
 public:
  template <class Codes>
  void add(const Codes& codes) {
    for (const auto code : codes) ++found_[static_cast<std::uint8_t>(code)];
  }
  std::string text(const std::vector<std::string>& names) const {
    std::string text;
    for (const auto& [code, count] : found_) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count,
                          code < names.size() ? names[code] : fmt::format("status {}", code));
    }
    return text;
  }

 private:
  std::map<std::uint8_t, std::int64_t> found_;
};

std::string counts(const hdf5::InputColumn& status) {
  StatusCounts found;
  for (std::int64_t first = 0; first < status.rows(); first += rows_at_once)
    found.add(status.read<std::uint8_t>(first, std::min(rows_at_once, status.rows() - first)));
  return found.text(status.text_attribute("names"));
}

// The same of sharded results, whose parts are checked on the way.
std::string counts_in_parts(const base::Path& results, const std::vector<std::string>& names) {
  const ResultsFile file(base::real_files(), results);
  StatusCounts found;
  for (std::int64_t first = 0; first < file.rows();) {
    const Rows rows = file.read(first, file.batch(first, rows_at_once), false);
    found.add(rows.status);
    first += rows.count();
  }
  return found.text(names);
}

// `results` is the path of sharded results, empty for other files.
std::string describe_column(const hdf5::InputFile& file, const std::string& name, const base::Path& results) {
  const hdf5::InputColumn column = results.empty() ? file.column(name) : file.look_at(name);
  const std::string width = column.width() == 1 ? "" : fmt::format(" x {}", column.width());
  const std::string where = !column.is_virtual() ? "" : fmt::format(", in {} parts", column.mapping().size());
  std::string line = fmt::format("  {:<20} {:<10} {}{}{}\n", name, column.type_name(), column.rows(), width, where);
  if (!name.ends_with("/status")) return line;
  return line +
         fmt::format("  {:<20} {}\n", "",
                     column.is_virtual() ? counts_in_parts(results, column.text_attribute("names")) : counts(column));
}

std::string describe(const hdf5::InputFile& file, std::int64_t bytes, const base::Path& results = {}) {
  const auto version = file.integer_attribute("version");
  std::string text =
      fmt::format("{}\n  format: {}{}\n  size: {} bytes\n", file.name(), file.text_attribute("format").value_or("HDF5"),
                  version ? fmt::format(", version {}", *version) : "", bytes);
  for (const char* name : {"tokenizer", "source_digest", "job", "plan"}) {
    if (const auto value = file.text_attribute(name)) text += fmt::format("  {}: {}\n", name, *value);
  }
  for (const std::string& name : file.datasets()) text += describe_column(file, name, results);
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
  if (!is_part(path, bytes)) {
    check_seal(base::real_files(), path);
    const hdf5::InputFile file(base::real_files(), path);
    return describe(file, bytes, is_master(file) ? path : base::Path());
  }
  const std::string part = base::read_all(base::real_files(), path, part_file_limit);
  const PartInfo info = check_part(part, path.string());
  const hdf5::InputFile file(image_of(part), path.string());
  return describe(file, bytes) + fmt::format("  shard {}: documents {} to {}, {} rows of tokens, digest {} (correct)\n",
                                             info.shard, info.first, info.first + info.rows, info.tokens,
                                             info.digest.hex());
}

}  // namespace thresher::store
