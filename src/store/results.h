// results.h5 open for reading.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/columns.h"

namespace thresher::store {

// Gathered results, or sharded ones, whose virtual datasets are never read: the rows come from the parts themselves.
class ResultsFile {
 public:
  // When the parts of sharded results are compared with what results.h5 tells of them. A part that is read is always
  // checked before.
  enum class PartCheck : std::uint8_t { first, at_reading };

  // Throws base::Error: no_input, data (not results, another version, columns that do not agree, parts missing).
  ResultsFile(base::FileSystem& files, const base::Path& path, PartCheck check = PartCheck::first);
  ~ResultsFile();
  ResultsFile(const ResultsFile&) = delete;

  std::int64_t rows() const { return rows_; }
  // Rows of /token/..., 0 without them.
  std::int64_t tokens() const { return sharded_ ? tokens_ : reader_->tokens(); }
  const Columns& columns() const { return columns_; }
  bool sharded() const { return sharded_; }
  std::vector<std::string> ids(std::int64_t first, std::int64_t count) const { return ids_.read_text(first, count); }
  // Of sharded results; else empty.
  const std::vector<PartInfo>& parts() const { return parts_; }
  // The attribute `plan`.
  std::optional<std::string> plan_text() const { return file_.text_attribute("plan"); }
  // Offsets [first, first + count] of /token/offsets, where there are tokens.
  std::vector<std::uint64_t> offsets(std::int64_t first, std::int64_t count) const;
  // How many documents from `first` on, at most `most`, can be read at once and have no more than about `tokens` scored
  // tokens together; at least 1.
  std::int64_t batch(std::int64_t first, std::int64_t most, std::int64_t tokens) const;
  // As many or fewer, whatever their tokens.
  std::int64_t batch(std::int64_t first, std::int64_t most) const;
  // Documents [first, first + count), no more than `batch` allows. With `with_tokens` false the per-token columns stay
  // empty.
  Rows read(std::int64_t first, std::int64_t count, bool with_tokens) const;

 private:
  struct Part;
  void check_parts() const;
  const PartInfo& part_at(std::int64_t document) const;
  const RowReader& part_rows(const PartInfo& part) const;

  base::FileSystem& files_;
  hdf5::InputFile file_;
  base::Path directory_;  // of the parts
  Columns columns_;
  bool sharded_;
  hdf5::InputColumn ids_;
  std::int64_t rows_;
  std::optional<RowReader> reader_;           // gathered
  std::vector<PartInfo> parts_;               // sharded
  std::optional<hdf5::InputColumn> offsets_;  // sharded, of tokens
  std::int64_t tokens_ = 0;                   // sharded
  // The part that was read last.
  mutable std::unique_ptr<Part> part_;
};

// Throws base::Error (data) unless the file's attributes name this format and a version up to `newest`.
void expect_format(const hdf5::InputFile& file, std::string_view format, std::int64_t newest);

}  // namespace thresher::store
