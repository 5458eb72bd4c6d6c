#include "store/hdf5_write.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "store/hdf5.h"
#include "store/seal.h"

namespace thresher::store::hdf5 {
namespace {

using base::Exit;
using base::fail;

constexpr std::size_t write_block = std::size_t{1} << 20;

Type text_type(std::int64_t width) {
  Type type = own<Type>(H5Tcopy(H5T_C_S1), "string type", Exit::internal);
  check(H5Tset_size(type.raw(), static_cast<std::size_t>(std::max<std::int64_t>(width, 1))), "string size",
        Exit::internal);
  check(H5Tset_cset(type.raw(), H5T_CSET_UTF8), "string character set", Exit::internal);
  check(H5Tset_strpad(type.raw(), H5T_STR_NULLPAD), "string padding", Exit::internal);
  return type;
}

Type type_of(const ColumnPlan& column) {
  const auto copy = [](hid_t type) { return own<Type>(H5Tcopy(type), "type", Exit::internal); };
  switch (column.kind) {
    case Kind::u8:
      return copy(H5T_STD_U8LE);
    case Kind::u16:
      return copy(H5T_STD_U16LE);
    case Kind::u32:
      return copy(H5T_STD_U32LE);
    case Kind::u64:
      return copy(H5T_STD_U64LE);
    case Kind::i32:
      return copy(H5T_STD_I32LE);
    case Kind::i64:
      return copy(H5T_STD_I64LE);
    case Kind::f32:
      return copy(H5T_IEEE_F32LE);
    case Kind::f64:
      return copy(H5T_IEEE_F64LE);
    case Kind::text:
      return text_type(column.width);
  }
  fail(Exit::internal, "column of an unknown kind");
}

void write_attribute(hid_t object, const std::string& name, hid_t type, hid_t space, const void* value) {
  const Attribute attribute = own<Attribute>(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                                             "attribute " + name, Exit::internal);
  check(H5Awrite(attribute.raw(), type, value), "attribute " + name, Exit::internal);
}

void write_names(hid_t dataset, const std::vector<std::string>& names) {
  std::size_t width = 1;
  for (const std::string& name : names) width = std::max(width, name.size());
  std::string bytes;
  for (std::string name : names) {
    name.resize(width, '\0');
    bytes += name;
  }
  const hsize_t count = names.size();
  const Space space = own<Space>(H5Screate_simple(1, &count, nullptr), "names", Exit::internal);
  write_attribute(dataset, "names", text_type(static_cast<std::int64_t>(width)).raw(), space.raw(), bytes.data());
}

void write_root(hid_t file, const FilePlan& plan) {
  const Space scalar = own<Space>(H5Screate(H5S_SCALAR), "scalar", Exit::internal);
  const auto write_text = [&](const std::string& name, std::string value) {
    const Type type = text_type(static_cast<std::int64_t>(value.size()));
    value.resize(std::max<std::size_t>(value.size(), 1), '\0');
    write_attribute(file, name, type.raw(), scalar.raw(), value.data());
  };
  write_text("format", plan.format);
  write_attribute(file, "version", H5T_STD_I64LE, scalar.raw(), &plan.version);
  for (const auto& [name, value] : plan.attributes) write_text(name, value);
  for (const auto& [name, value] : plan.numbers) write_attribute(file, name, H5T_STD_I64LE, scalar.raw(), &value);
}

// What is read where a source is missing: a value that no result has.
void fill_with_nonsense(hid_t properties, Kind kind, const std::string& what) {
  const auto fill = [&](auto value) {
    check(H5Pset_fill_value(properties, native_type<decltype(value)>(), &value), what, Exit::internal);
  };
  switch (kind) {
    case Kind::f32:
    case Kind::f64:
      return fill(std::numeric_limits<double>::quiet_NaN());
    case Kind::i32:
    case Kind::i64:
      return fill(std::int64_t{-1});
    case Kind::u8:
      return fill(std::numeric_limits<std::uint8_t>::max());
    case Kind::u16:
      return fill(std::numeric_limits<std::uint16_t>::max());
    case Kind::u32:
      return fill(std::numeric_limits<std::uint32_t>::max());
    case Kind::u64:
      return fill(std::numeric_limits<std::uint64_t>::max());
    case Kind::text:
      return;
  }
}

void map_sources(hid_t properties, hid_t space, const ColumnPlan& column, const std::vector<std::string>& sources) {
  hsize_t start[2] = {0, 0};
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const hsize_t sizes[2] = {static_cast<hsize_t>(column.source_rows[i]), static_cast<hsize_t>(column.width)};
    if (sizes[0] == 0) continue;
    const Space source =
        own<Space>(H5Screate_simple(column.matrix ? 2 : 1, sizes, nullptr), column.name, Exit::internal);
    // All of it, but said in numbers: the file keeps selections and forgets sizes.
    constexpr hsize_t origin[2] = {0, 0};
    check(H5Sselect_hyperslab(source.raw(), H5S_SELECT_SET, origin, nullptr, sizes, nullptr), column.name,
          Exit::internal);
    check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, sizes, nullptr), column.name, Exit::internal);
    check(H5Pset_virtual(properties, space, sources[i].c_str(), column.name.c_str(), source.raw()), column.name,
          Exit::internal);
    start[0] += sizes[0];
  }
  check(H5Sselect_all(space), column.name, Exit::internal);
  if (static_cast<std::int64_t>(start[0]) != column.rows)
    fail(Exit::internal, fmt::format("{}: {} rows in the sources, expected {}", column.name, start[0], column.rows));
}

Dataset create(hid_t file, hid_t groups, const ColumnPlan& column, const std::vector<std::string>& sources) {
  const hsize_t sizes[2] = {static_cast<hsize_t>(column.rows), static_cast<hsize_t>(column.width)};
  const Space space = own<Space>(H5Screate_simple(column.matrix ? 2 : 1, sizes, nullptr), column.name, Exit::internal);
  const Properties properties = own<Properties>(H5Pcreate(H5P_DATASET_CREATE), column.name, Exit::internal);
  if (column.is_virtual()) {
    fill_with_nonsense(properties.raw(), column.kind, column.name);
    map_sources(properties.raw(), space.raw(), column, sources);
  } else {
    check(H5Pset_layout(properties.raw(), H5D_CONTIGUOUS), column.name, Exit::internal);
    check(H5Pset_alloc_time(properties.raw(), H5D_ALLOC_TIME_EARLY), column.name, Exit::internal);
    check(H5Pset_fill_time(properties.raw(), H5D_FILL_TIME_NEVER), column.name, Exit::internal);
  }
  check(H5Pset_obj_track_times(properties.raw(), false), column.name, Exit::internal);
  Dataset dataset = own<Dataset>(
      H5Dcreate2(file, column.name.c_str(), type_of(column).raw(), space.raw(), groups, properties.raw(), H5P_DEFAULT),
      column.name, Exit::internal);
  if (!column.names.empty()) write_names(dataset.raw(), column.names);
  return dataset;
}

File create_file(const std::string& name, hid_t access) {
  const Properties properties = own<Properties>(H5Pcreate(H5P_FILE_CREATE), name, Exit::internal);
  check(H5Pset_obj_track_times(properties.raw(), false), name, Exit::internal);
  return own<File>(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, properties.raw(), access), name, Exit::internal);
}

// Makes all datasets. Virtual ones are closed again, here empty: the library takes 57 KB for each of their sources
// while it makes one, and keeps 17 KB while it is open.
std::vector<Dataset> define(hid_t file, const FilePlan& plan) {
  write_root(file, plan);
  const Properties groups = own<Properties>(H5Pcreate(H5P_LINK_CREATE), plan.format, Exit::internal);
  check(H5Pset_create_intermediate_group(groups.raw(), 1), plan.format, Exit::internal);
  std::vector<Dataset> datasets;
  for (const ColumnPlan& column : plan.columns) {
    Dataset dataset = create(file, groups.raw(), column, plan.sources);
    datasets.push_back(column.is_virtual() ? Dataset() : std::move(dataset));
    if (column.is_virtual()) {
      dataset.reset();
      check(H5garbage_collect(), column.name, Exit::internal);
    }
  }
  return datasets;
}

using Memory = base::Handle<int, ::close, -1>;

std::string bytes_of(const Memory& memory, std::int64_t begin, std::int64_t end) {
  std::string bytes(static_cast<std::size_t>(end - begin), '\0');
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count =
        ::pread(memory.raw(), bytes.data() + done, bytes.size() - done, begin + static_cast<std::int64_t>(done));
    if (count <= 0) base::fail_errno(Exit::os, "cannot read memory file", count < 0 ? errno : EIO);
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

// Where the data of each column go in the file that the library lays out in `memory`, which stays sparse.
std::vector<std::int64_t> place_columns(const Memory& memory, const FilePlan& plan) {
  const Lock lock;
  const Properties access = own<Properties>(H5Pcreate(H5P_FILE_ACCESS), plan.format, Exit::internal);
  // The default driver asks for the real path of a name in /proc, and there is none; this one does not.
  check(H5Pset_fapl_stdio(access.raw()), plan.format, Exit::internal);
  const File file = create_file(fmt::format("/proc/self/fd/{}", memory.raw()), access.raw());
  const std::vector<Dataset> datasets = define(file.raw(), plan);
  std::vector<std::int64_t> offsets;
  for (std::size_t i = 0; i < datasets.size(); ++i) {
    const haddr_t offset = plan.columns[i].bytes() == 0 ? 0 : H5Dget_offset(datasets[i].raw());
    if (offset == HADDR_UNDEF) fail(Exit::internal, plan.columns[i].name + ": HDF5 gave it no place");
    offsets.push_back(static_cast<std::int64_t>(offset));
  }
  check(H5Fflush(file.raw(), H5F_SCOPE_LOCAL), plan.format, Exit::internal);
  return offsets;
}

std::int64_t element_bytes(Kind kind) {
  switch (kind) {
    case Kind::u8:
    case Kind::text:
      return 1;
    case Kind::u16:
      return 2;
    case Kind::u32:
    case Kind::i32:
    case Kind::f32:
      return 4;
    case Kind::u64:
    case Kind::i64:
    case Kind::f64:
      return 8;
  }
  return 0;
}

}  // namespace

std::int64_t ColumnPlan::row_bytes() const {
  return element_bytes(kind) * (kind == Kind::text ? std::max<std::int64_t>(width, 1) : matrix ? width : 1);
}

std::string build_image(const FilePlan& plan, std::span<const std::span<const std::byte>> data) {
  const Lock lock;
  const Properties access = own<Properties>(H5Pcreate(H5P_FILE_ACCESS), plan.format, Exit::internal);
  std::size_t total = write_block;
  for (const auto& bytes : data) total += bytes.size();
  check(H5Pset_fapl_core(access.raw(), total, false), plan.format, Exit::internal);
  const File file = create_file(image_name(), access.raw());
  {
    const std::vector<Dataset> datasets = define(file.raw(), plan);
    for (std::size_t i = 0; i < datasets.size(); ++i) {
      const ColumnPlan& column = plan.columns[i];
      if (static_cast<std::int64_t>(data[i].size()) != column.bytes()) {
        fail(Exit::internal, fmt::format("{}: {} bytes, expected {}", column.name, data[i].size(), column.bytes()));
      }
      if (data[i].empty()) continue;
      check(H5Dwrite(datasets[i].raw(), type_of(column).raw(), H5S_ALL, H5S_ALL, H5P_DEFAULT, data[i].data()),
            column.name, Exit::internal);
    }
  }
  check(H5Fflush(file.raw(), H5F_SCOPE_LOCAL), plan.format, Exit::internal);
  const ssize_t size = check(H5Fget_file_image(file.raw(), nullptr, 0), plan.format, Exit::internal);
  std::string image(static_cast<std::size_t>(size), '\0');
  check(H5Fget_file_image(file.raw(), image.data(), image.size()), plan.format, Exit::internal);
  return image;
}

Layout lay_out(const FilePlan& plan) {
  const Memory memory(::memfd_create("thresher", MFD_CLOEXEC));
  if (!memory) base::fail_errno(Exit::os, "cannot create a file in memory", errno);
  Layout layout;
  layout.columns = place_columns(memory, plan);
  layout.bytes = ::lseek(memory.raw(), 0, SEEK_END);
  std::vector<std::pair<std::int64_t, std::int64_t>> extents;  // offset, bytes
  for (std::size_t i = 0; i < layout.columns.size(); ++i) {
    if (plan.columns[i].bytes() > 0) extents.emplace_back(layout.columns[i], plan.columns[i].bytes());
  }
  std::sort(extents.begin(), extents.end());
  extents.emplace_back(layout.bytes, 0);
  std::int64_t at = 0;
  for (const auto& [offset, bytes] : extents) {
    if (offset > at) layout.pieces.push_back({at, bytes_of(memory, at, offset)});
    at = offset + bytes;
  }
  return layout;
}

ColumnWriter::ColumnWriter(base::FileSystem& files, base::Path path, FilePlan plan, Layout layout)
    : files_(files),
      path_(std::move(path)),
      temporary_(files_.temporary_name(path_)),
      plan_(std::move(plan)),
      size_(layout.bytes) {
  const base::Path directory = path_.parent_path().empty() ? base::Path(".") : path_.parent_path();
  if (const std::int64_t free = files_.free_bytes(directory); free < size_) {
    fail(Exit::io,
         fmt::format("cannot write {}: it needs {} bytes, {} are free: make room and run the same command again",
                     path_.string(), size_, free));
  }
  for (const std::int64_t offset : layout.columns) columns_.push_back({offset, 0, {}});
  file_ = files_.create(temporary_);
  try {
    file_->resize(size_);
    for (const Layout::Piece& piece : layout.pieces)
      file_->write_at(piece.offset, std::as_bytes(std::span(piece.bytes)));
  } catch (...) {
    file_.reset();
    base::remove_quietly(files_, temporary_);
    throw;
  }
}

ColumnWriter::~ColumnWriter() {
  if (!file_) return;
  file_.reset();
  base::remove_quietly(files_, temporary_);
}

void ColumnWriter::append(std::size_t index, std::span<const std::byte> bytes) {
  Column& column = columns_[index];
  const auto size = static_cast<std::int64_t>(bytes.size() + column.pending.size());
  if (column.written + size > plan_.columns[index].bytes()) {
    fail(Exit::internal, fmt::format("{}: {} bytes, expected {}", plan_.columns[index].name, column.written + size,
                                     plan_.columns[index].bytes()));
  }
  if (column.pending.empty() && bytes.size() >= write_block) {
    file_->write_at(column.offset + column.written, bytes);
    column.written += static_cast<std::int64_t>(bytes.size());
    return;
  }
  column.pending.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (column.pending.size() >= write_block) flush(index);
}

void ColumnWriter::append_text(std::size_t index, std::span<const std::string> strings) {
  const auto width = static_cast<std::size_t>(plan_.columns[index].row_bytes());
  std::string bytes(width * strings.size(), '\0');
  for (std::size_t i = 0; i < strings.size(); ++i) {
    if (strings[i].size() > width) {
      fail(Exit::internal,
           fmt::format("{}: {} bytes, at most {}", plan_.columns[index].name, strings[i].size(), width));
    }
    std::copy(strings[i].begin(), strings[i].end(), bytes.begin() + static_cast<std::ptrdiff_t>(i * width));
  }
  append(index, std::as_bytes(std::span(bytes)));
}

void ColumnWriter::flush(std::size_t index) {
  Column& column = columns_[index];
  file_->write_at(column.offset + column.written, std::as_bytes(std::span(column.pending)));
  column.written += static_cast<std::int64_t>(column.pending.size());
  column.pending.clear();
}

void ColumnWriter::publish() {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    flush(i);
    if (columns_[i].written != plan_.columns[i].bytes()) {
      fail(Exit::internal, fmt::format("{}: {} bytes, expected {}", plan_.columns[i].name, columns_[i].written,
                                       plan_.columns[i].bytes()));
    }
  }
  if (plan_.sealed) {
    const std::string seal = seal_of(*files_.open(temporary_), size_);
    file_->write_at(size_, std::as_bytes(std::span(seal)));
  }
  file_->sync();
  files_.rename(temporary_, path_);
  file_.reset();
  files_.sync_directory(path_.parent_path());
}

}  // namespace thresher::store::hdf5
