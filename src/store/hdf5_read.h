// Reading HDF5 that somebody else may have written: everything is checked before it is trusted or allocated.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/hdf5.h"
#include "thresher/base/file.h"

namespace thresher::store::hdf5 {

class InputColumn;

// Rows [first, first + rows) of a virtual dataset are all of `dataset` in `file`.
struct MappedRows {
  std::string file, dataset;
  std::int64_t first = 0, rows = 0;
  bool operator==(const MappedRows&) const = default;
};

// The mapping of a virtual dataset, from its creation properties: no other file is opened. Throws base::Error (data)
// when it is not of whole datasets to whole rows.
std::vector<MappedRows> read_mapping(hid_t properties, const std::string& name);

class InputFile {
 public:
  // The library reads through `files`: its own way takes a file that was cut meanwhile for zeros. Throws base::Error:
  // no_input, permission, io, data.
  InputFile(base::FileSystem& files, const base::Path& path);
  // A file in memory; `name` is for messages, `image` must outlive the object.
  InputFile(std::string_view image, std::string name);

  const std::string& name() const { return name_; }
  // True if the dataset or group is there. Throws (data) when a soft or external link is on the way.
  bool has(const std::string& path) const;
  // Opens a dataset of at most 2 dimensions. Refuses external storage, virtual datasets, links, filters other than
  // deflate and shuffle, chunks over 256 MiB, and more elements than the stored bytes can stand for.
  InputColumn column(const std::string& path) const;
  // Opens a dataset that may also be virtual, to see its shape, type and mapping. Reading a virtual one is an error:
  // what it names has to be checked and read as a file of its own.
  InputColumn look_at(const std::string& path) const;
  // Of the root group; nothing when absent.
  std::optional<std::string> text_attribute(const std::string& name) const;
  std::optional<std::int64_t> integer_attribute(const std::string& name) const;
  // Names of the datasets in the file, "/doc/text", in order; links and other things are left out.
  std::vector<std::string> datasets() const;

 private:
  Dataset open_dataset(const std::string& path) const;

  std::string name_;
  std::int64_t bytes_ = 0;  // of the file
  std::unique_ptr<base::ReadFile> source_;
  File file_;
};

class InputColumn {
 public:
  enum class Class : std::uint8_t { unsigned_integer, signed_integer, real, text, variable_text };

  std::int64_t rows() const { return rows_; }
  // Elements per row: 1, or the second dimension.
  std::int64_t width() const { return width_; }
  Class type_class() const { return class_; }
  std::size_t type_size() const { return type_size_; }
  bool is_virtual() const { return virtual_; }
  // Of a virtual dataset, in its order; else empty.
  const std::vector<MappedRows>& mapping() const { return mapping_; }
  bool is_text() const { return class_ == Class::text || class_ == Class::variable_text; }
  const std::string& name() const { return name_; }  // for messages: file and path
  // "uint64", "float32", "text[12]" ...
  std::string type_name() const;

  // Rows [first, first + out.size() / width). Numbers of another type are converted; one that does not fit in T is an
  // error (data).
  template <class T>
  void read(std::int64_t first, std::span<T> out) const;
  template <class T>
  std::vector<T> read(std::int64_t first, std::int64_t count) const {
    std::vector<T> values(static_cast<std::size_t>(count * width_));
    read(first, std::span<T>(values));
    return values;
  }
  // Strings, without the padding; a column of integers gives their decimal text.
  std::vector<std::string> read_text(std::int64_t first, std::int64_t count) const;
  std::vector<std::string> text_attribute(const std::string& name) const;

  // Throws (data) unless the column holds `rows` rows of `width` elements.
  const InputColumn& expect(std::int64_t rows, std::int64_t width = 1) const;

 private:
  friend class InputFile;
  InputColumn(std::string name, Dataset dataset, std::int64_t file_bytes, bool may_be_virtual);
  void measure();
  void classify();
  void refuse_foreign_storage(hid_t properties) const;
  void refuse_bombs(hid_t properties, std::int64_t file_bytes) const;
  void read_raw(std::int64_t first, std::int64_t count, hid_t type, void* out) const;
  template <class Wide, class T>
  void read_wide(std::int64_t first, std::span<T> out) const;

  std::string name_;
  Dataset dataset_;
  Class class_ = Class::real;
  std::size_t type_size_ = 0;
  int rank_ = 1;
  std::int64_t rows_ = 0, width_ = 1;
  bool virtual_ = false;
  std::vector<MappedRows> mapping_;
};

}  // namespace thresher::store::hdf5
