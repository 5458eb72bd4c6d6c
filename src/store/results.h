// results.h5 open for reading.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/columns.h"

namespace thresher::store {

class ResultsFile {
 public:
  // Throws base::Error: no_input, data (not results, another version, columns that do not agree).
  explicit ResultsFile(const base::Path& path);

  std::int64_t rows() const { return reader_.rows(); }
  const Columns& columns() const { return columns_; }
  std::vector<std::string> ids(std::int64_t first, std::int64_t count) const { return ids_.read_text(first, count); }
  const RowReader& reader() const { return reader_; }
  // How many documents from `first` on, at most `most`, have no more than about `tokens` scored tokens together; at
  // least 1.
  std::int64_t batch(std::int64_t first, std::int64_t most, std::int64_t tokens) const;

 private:
  hdf5::InputFile file_;
  Columns columns_;
  RowReader reader_;
  hdf5::InputColumn ids_;
};

// Throws base::Error (data) unless the file's attributes name this format and a version up to `newest`.
void expect_format(const hdf5::InputFile& file, std::string_view format, std::int64_t newest);

}  // namespace thresher::store
