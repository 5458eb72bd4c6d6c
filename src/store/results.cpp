#include "store/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "thresher/base/check.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;

constexpr std::int64_t newest_version = 1;

hdf5::InputFile open_results(const base::Path& path) {
  hdf5::InputFile file(path);
  expect_format(file, "thresher-results", newest_version);
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

ResultsFile::ResultsFile(const base::Path& path)
    : file_(open_results(path)), columns_(columns_of(file_)), reader_(file_, columns_), ids_(file_.column("/id")) {
  ids_.expect(reader_.rows());
}

std::int64_t ResultsFile::batch(std::int64_t first, std::int64_t most, std::int64_t tokens) const {
  most = std::min(most, rows() - first);
  if (!columns_.per_token || most <= 1) return most;
  const std::vector<std::uint64_t> offsets = reader_.offsets(first, most);
  const auto over =
      std::upper_bound(offsets.begin() + 2, offsets.end(), offsets.front() + static_cast<std::uint64_t>(tokens));
  return over - offsets.begin() - 1;
}

}  // namespace thresher::store
