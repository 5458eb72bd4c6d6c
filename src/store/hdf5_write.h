// Writing HDF5 without letting the library touch the disk: it crashes on a full one and never syncs.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thresher/base/file.h"

namespace thresher::store::hdf5 {

static_assert(std::endian::native == std::endian::little, "columns are written as they lie in memory");

enum class Kind : std::uint8_t { u8, u16, u32, u64, i32, i64, f32, f64, text };

// One dataset, known before its data: `rows` elements, or rows x width when `matrix`. For text, `width` is the bytes of
// each string (UTF-8, padded with NUL).
struct ColumnPlan {
  std::string name;  // "/group/name"
  Kind kind = Kind::u8;
  std::int64_t rows = 0;
  std::int64_t width = 1;
  bool matrix = false;
  std::vector<std::string> names;  // the attribute `names`, if any
  // A virtual dataset, if any: the rows that each of FilePlan::sources gives in turn, out of its dataset of this name.
  std::vector<std::int64_t> source_rows{};

  std::int64_t row_bytes() const;
  // Of its data in the file.
  std::int64_t bytes() const { return is_virtual() ? 0 : rows * row_bytes(); }
  bool is_virtual() const { return rows > 0 && !source_rows.empty(); }
};

// A whole file: contiguous datasets (read 2 to 10 times as fast as chunked ones), no times, nothing but what is here.
// Equal plans give equal bytes.
struct FilePlan {
  std::string format;  // attribute `format`
  std::int64_t version = 1;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<ColumnPlan> columns;
  std::vector<std::string> sources{};                           // files of the virtual datasets, relative to this one
  std::vector<std::pair<std::string, std::int64_t>> numbers{};  // attributes
  bool sealed = false;                                          // ColumnWriter puts a seal (seal.h) at the end
};

// The complete file in memory; data[i] holds the bytes of columns[i].
std::string build_image(const FilePlan& plan, std::span<const std::span<const std::byte>> data);

// A file without the data of its columns.
struct Layout {
  struct Piece {
    std::int64_t offset = 0;
    std::string bytes;
  };
  std::int64_t bytes = 0;             // of the file, without a seal
  std::vector<std::int64_t> columns;  // where the data of each begin; 0 where there are none
  std::vector<Piece> pieces;          // what lies between the data: the library's own
};

// The library lays the file out in memory, its data extents left empty.
Layout lay_out(const FilePlan& plan);

// A large file, written front to back in every column at once: the metadata and the data are written at their places
// by `files`.
class ColumnWriter {
 public:
  // Writes the metadata under a temporary name. Throws base::Error (io) at once when the disk lacks the space.
  ColumnWriter(base::FileSystem& files, base::Path path, FilePlan plan, Layout layout);
  ~ColumnWriter();  // removes the temporary file unless `publish` was called
  ColumnWriter(const ColumnWriter&) = delete;

  // Appends bytes to column `index` (its place in the plan).
  void append(std::size_t index, std::span<const std::byte> bytes);
  template <class T>
  void append(std::size_t index, const std::vector<T>& values) {
    append(index, std::as_bytes(std::span(values)));
  }
  // Appends strings to a text column, padded to its width.
  void append_text(std::size_t index, std::span<const std::string> strings);

  // Throws (internal) unless every column is complete; then syncs, renames to `path`, syncs the directory.
  void publish();

 private:
  struct Column {
    std::int64_t offset = 0;   // of the data in the file
    std::int64_t written = 0;  // bytes handed to the file
    std::string pending;
  };
  void flush(std::size_t index);

  base::FileSystem& files_;
  base::Path path_, temporary_;
  FilePlan plan_;
  std::unique_ptr<base::WriteFile> file_;
  std::int64_t size_ = 0;  // of the file, without the seal
  std::vector<Column> columns_;
};

}  // namespace thresher::store::hdf5
