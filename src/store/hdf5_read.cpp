#include "store/hdf5_read.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/hdf5_driver.h"

namespace thresher::store::hdf5 {
namespace {

using base::Exit;
using base::fail;

constexpr std::int64_t mebibyte = std::int64_t{1} << 20;
constexpr std::int64_t largest_chunk = 256 * mebibyte;
constexpr std::int64_t largest_packed_chunk = 64 * mebibyte;  // inflated whole, in a buffer that grows by doubling
constexpr std::size_t longest_attribute = 65536;
// Deflate reaches 1,030 : 1; honest data stays far below. Small files may do as they like.
constexpr std::int64_t largest_ratio = 1000;
constexpr std::int64_t free_of_ratio = 64 * mebibyte;

Properties access() {
  Properties properties = own<Properties>(H5Pcreate(H5P_FILE_ACCESS), "HDF5 file access");
  check(H5Pset_fclose_degree(properties.raw(), H5F_CLOSE_STRONG), "HDF5 close degree");
  // A chunk that does not fit in the cache (1 MiB by default) is inflated once per read.
  check(H5Pset_cache(properties.raw(), 0, 1009, 16 * mebibyte, 1.0), "HDF5 chunk cache");
  return properties;
}

// Strings of one attribute, fixed or variable.
std::vector<std::string> strings_of(hid_t attribute, const std::string& what) {
  const Type type = own<Type>(H5Aget_type(attribute), what);
  const Space space = own<Space>(H5Aget_space(attribute), what);
  const hssize_t count = check(H5Sget_simple_extent_npoints(space.raw()), what);
  const std::size_t size = H5Tget_size(type.raw());
  if (H5Tget_class(type.raw()) != H5T_STRING) fail(Exit::data, what + ": not text");
  if (size == 0 || size > longest_attribute || static_cast<std::size_t>(count) > longest_attribute / size) {
    fail(Exit::data,
         fmt::format("{}: {} strings of {} bytes, at most {} bytes are allowed", what, count, size, longest_attribute));
  }
  std::vector<std::string> strings;
  if (check(H5Tis_variable_str(type.raw()), what) > 0) {
    std::vector<char*> pointers(static_cast<std::size_t>(count), nullptr);
    check(H5Aread(attribute, type.raw(), pointers.data()), what);
    for (const char* text : pointers) strings.emplace_back(text ? text : "");
    check(H5Dvlen_reclaim(type.raw(), space.raw(), H5P_DEFAULT, pointers.data()), what);
    return strings;
  }
  std::string bytes(size * static_cast<std::size_t>(count), '\0');
  check(H5Aread(attribute, type.raw(), bytes.data()), what);
  for (std::size_t at = 0; at < bytes.size(); at += size) {
    const std::string_view text = std::string_view(bytes).substr(at, size);
    strings.emplace_back(text.substr(0, std::min(text.find('\0'), text.size())));
  }
  return strings;
}

struct Listing {
  std::vector<std::string> names;
};

herr_t add_dataset(hid_t, const char* name, const H5O_info_t* object, void* listing) {
  if (object->type == H5O_TYPE_DATASET) static_cast<Listing*>(listing)->names.push_back(fmt::format("/{}", name));
  return 0;
}

}  // namespace

InputFile::InputFile(base::FileSystem& files, const base::Path& path)
    : name_(path.string()), source_(files.open(path)) {
  bytes_ = source_->size();
  const Lock lock;
  const Properties properties = access();
  read_through(*source_, properties);
  file_ = own<File>(H5Fopen(image_name().c_str(), H5F_ACC_RDONLY, properties.raw()),
                    name_ + " is not a complete HDF5 file (was its writer stopped half-way?)");
}

InputFile::InputFile(std::string_view image, std::string name)
    : name_(std::move(name)), bytes_(static_cast<std::int64_t>(image.size())) {
  const Lock lock;
  const Properties properties = access();
  check(H5Pset_fapl_core(properties.raw(), mebibyte, false), "HDF5 core driver");
  // The library copies the image and never writes to it.
  check(H5Pset_file_image(properties.raw(), const_cast<char*>(image.data()), image.size()), "HDF5 file image");
  // The library takes two images of one name for the same file.
  file_ = own<File>(H5Fopen(image_name().c_str(), H5F_ACC_RDONLY, properties.raw()),
                    name_ + " is not a complete HDF5 file");
}

bool InputFile::has(const std::string& path) const {
  const Lock lock;
  for (std::size_t at = 0; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string prefix = path.substr(0, at);
    if (check(H5Lexists(file_.raw(), prefix.c_str(), H5P_DEFAULT), name_ + prefix) == 0) return false;
    H5L_info_t link;
    check(H5Lget_info(file_.raw(), prefix.c_str(), &link, H5P_DEFAULT), name_ + prefix);
    if (link.type != H5L_TYPE_HARD) {
      fail(Exit::data,
           fmt::format("{}: {} is {} link, which is refused: a file may only speak for itself; copy the data into it",
                       name_, prefix, link.type == H5L_TYPE_SOFT ? "a soft" : "an external"));
    }
  }
  return true;
}

Dataset InputFile::open_dataset(const std::string& path) const {
  if (!has(path)) fail(Exit::data, fmt::format("{} has no dataset {}", name_, path));
  const std::string what = name_ + ": " + path;
  const Object object = own<Object>(H5Oopen(file_.raw(), path.c_str(), H5P_DEFAULT), what);
  if (H5Iget_type(object.raw()) != H5I_DATASET) fail(Exit::data, what + " is not a dataset");
  return own<Dataset>(H5Dopen2(file_.raw(), path.c_str(), H5P_DEFAULT), what);
}

InputColumn InputFile::column(const std::string& path) const {
  const Lock lock;
  return InputColumn(name_ + ": " + path, open_dataset(path), bytes_, false);
}

InputColumn InputFile::look_at(const std::string& path) const {
  const Lock lock;
  return InputColumn(name_ + ": " + path, open_dataset(path), bytes_, true);
}

std::optional<std::string> InputFile::text_attribute(const std::string& name) const {
  const Lock lock;
  const std::string what = fmt::format("{}: attribute {}", name_, name);
  if (check(H5Aexists(file_.raw(), name.c_str()), what) == 0) return std::nullopt;
  const std::vector<std::string> strings =
      strings_of(own<Attribute>(H5Aopen(file_.raw(), name.c_str(), H5P_DEFAULT), what).raw(), what);
  if (strings.size() != 1) fail(Exit::data, fmt::format("{}: {} strings, expected 1", what, strings.size()));
  return strings[0];
}

std::optional<std::int64_t> InputFile::integer_attribute(const std::string& name) const {
  const Lock lock;
  const std::string what = fmt::format("{}: attribute {}", name_, name);
  if (check(H5Aexists(file_.raw(), name.c_str()), what) == 0) return std::nullopt;
  const Attribute attribute = own<Attribute>(H5Aopen(file_.raw(), name.c_str(), H5P_DEFAULT), what);
  const Type type = own<Type>(H5Aget_type(attribute.raw()), what);
  const Space space = own<Space>(H5Aget_space(attribute.raw()), what);
  if (H5Tget_class(type.raw()) != H5T_INTEGER || H5Sget_simple_extent_npoints(space.raw()) != 1) {
    fail(Exit::data, what + ": not one integer");
  }
  std::int64_t value = 0;
  check(H5Aread(attribute.raw(), H5T_NATIVE_INT64, &value), what);
  return value;
}

std::vector<std::string> InputFile::datasets() const {
  const Lock lock;
  Listing listing;
  check(H5Ovisit2(file_.raw(), H5_INDEX_NAME, H5_ITER_INC, add_dataset, &listing, H5O_INFO_BASIC), name_);
  return listing.names;
}

InputColumn::InputColumn(std::string name, Dataset dataset, std::int64_t file_bytes, bool may_be_virtual)
    : name_(std::move(name)), dataset_(std::move(dataset)) {
  // First: asking for the shape of an unlimited virtual dataset makes the library open other files.
  const Properties properties = own<Properties>(H5Dget_create_plist(dataset_.raw()), name_);
  virtual_ = may_be_virtual && check(H5Pget_layout(properties.raw()), name_) == H5D_VIRTUAL;
  if (virtual_)
    mapping_ = read_mapping(properties.raw(), name_);
  else
    refuse_foreign_storage(properties.raw());
  measure();
  classify();
  if (!virtual_) refuse_bombs(properties.raw(), file_bytes);
}

void InputColumn::measure() {
  const Space space = own<Space>(H5Dget_space(dataset_.raw()), name_);
  rank_ = check(H5Sget_simple_extent_ndims(space.raw()), name_);
  if (rank_ < 1 || rank_ > 2) fail(Exit::data, fmt::format("{} has {} dimensions, expected 1 or 2", name_, rank_));
  hsize_t sizes[2] = {0, 1};
  check(H5Sget_simple_extent_dims(space.raw(), sizes, nullptr), name_);
  if (!std::in_range<std::int64_t>(sizes[0]) || !std::in_range<std::int32_t>(sizes[1])) {
    fail(Exit::data, fmt::format("{} has {} x {} elements, which no file holds", name_, sizes[0], sizes[1]));
  }
  rows_ = static_cast<std::int64_t>(sizes[0]);
  width_ = static_cast<std::int64_t>(sizes[1]);
}

void InputColumn::classify() {
  const Type type = own<Type>(H5Dget_type(dataset_.raw()), name_);
  type_size_ = H5Tget_size(type.raw());
  switch (H5Tget_class(type.raw())) {
    case H5T_INTEGER:
      class_ = H5Tget_sign(type.raw()) == H5T_SGN_NONE ? Class::unsigned_integer : Class::signed_integer;
      if (type_size_ > 8) break;
      return;
    case H5T_FLOAT:
      class_ = Class::real;
      if (type_size_ > 8) break;
      return;
    case H5T_STRING:
      class_ = check(H5Tis_variable_str(type.raw()), name_) > 0 ? Class::variable_text : Class::text;
      if (type_size_ > longest_attribute) break;
      return;
    default:
      break;
  }
  fail(Exit::data,
       fmt::format("{} has a type that is not read here ({} bytes each): expected integers, floats or strings", name_,
                   type_size_));
}

void InputColumn::refuse_foreign_storage(hid_t properties) const {
  if (check(H5Pget_external_count(properties), name_) > 0) {
    fail(Exit::data,
         name_ + " keeps its data in another file (external storage), which is refused: copy the data into this file");
  }
  if (check(H5Pget_layout(properties), name_) == H5D_VIRTUAL) {
    fail(Exit::data, name_ + " is a virtual dataset over other files, which is refused: copy the data into this file");
  }
  const int filters = check(H5Pget_nfilters(properties), name_);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, configuration = 0;
    std::size_t values = 0;
    char filter_name[64] = "";
    const H5Z_filter_t filter = H5Pget_filter2(properties, static_cast<unsigned>(i), &flags, &values, nullptr,
                                               sizeof filter_name, filter_name, &configuration);
    if (filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE) continue;
    fail(Exit::data,
         fmt::format("{} is compressed with filter {} ({}), only deflate and shuffle are read: write it again with "
                     "compression='gzip' or none",
                     name_, static_cast<int>(filter), filter_name));
  }
}

void InputColumn::refuse_bombs(hid_t properties, std::int64_t file_bytes) const {
  if (H5Pget_layout(properties) == H5D_CHUNKED) {
    const std::int64_t most = H5Pget_nfilters(properties) > 0 ? largest_packed_chunk : largest_chunk;
    hsize_t sizes[2] = {1, 1};
    check(H5Pget_chunk(properties, 2, sizes), name_);
    std::int64_t bytes = 0;
    if (__builtin_mul_overflow(sizes[0], sizes[1], &bytes) || __builtin_mul_overflow(bytes, type_size_, &bytes) ||
        bytes > most) {
      fail(Exit::data, fmt::format("{} has chunks of {} x {} elements, at most {} bytes are allowed", name_, sizes[0],
                                   sizes[1], most));
    }
  }
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(rows_, width_, &bytes) || __builtin_mul_overflow(bytes, type_size_, &bytes)) {
    fail(Exit::data, fmt::format("{} has {} x {} elements, which no file holds", name_, rows_, width_));
  }
  const auto stored = static_cast<std::int64_t>(H5Dget_storage_size(dataset_.raw()));
  const bool compressed = H5Pget_nfilters(properties) > 0;
  const std::int64_t most = compressed ? std::max(free_of_ratio, std::min(stored, file_bytes) * largest_ratio) : stored;
  if (stored < 0 || stored > file_bytes || bytes > most || (bytes > 0 && stored == 0)) {
    fail(Exit::data,
         fmt::format("{} declares {} bytes but {} are stored in a file of {} bytes: it is damaged, was not written "
                     "completely, or is a decompression bomb",
                     name_, bytes, stored, file_bytes));
  }
}

std::string InputColumn::type_name() const {
  switch (class_) {
    case Class::unsigned_integer:
      return fmt::format("uint{}", type_size_ * 8);
    case Class::signed_integer:
      return fmt::format("int{}", type_size_ * 8);
    case Class::real:
      return fmt::format("float{}", type_size_ * 8);
    case Class::text:
      return fmt::format("text[{}]", type_size_);
    case Class::variable_text:
      return "text";
  }
  return "";
}

const InputColumn& InputColumn::expect(std::int64_t rows, std::int64_t width) const {
  if (rows_ != rows || width_ != width) {
    fail(Exit::data, fmt::format("{} holds {} x {} elements, expected {} x {}", name_, rows_, width_, rows, width));
  }
  return *this;
}

void InputColumn::read_raw(std::int64_t first, std::int64_t count, hid_t type, void* out) const {
  if (first < 0 || count < 0 || first > rows_ - count) {
    fail(Exit::internal, fmt::format("{}: rows {} to {} of {}", name_, first, first + count, rows_));
  }
  if (virtual_) fail(Exit::internal, name_ + " is only to be looked at");
  if (count == 0) return;
  const Lock lock;
  const hsize_t start[2] = {static_cast<hsize_t>(first), 0};
  const hsize_t sizes[2] = {static_cast<hsize_t>(count), static_cast<hsize_t>(width_)};
  const Space file = own<Space>(H5Dget_space(dataset_.raw()), name_);
  check(H5Sselect_hyperslab(file.raw(), H5S_SELECT_SET, start, nullptr, sizes, nullptr), name_);
  const Space memory = own<Space>(H5Screate_simple(rank_, sizes, nullptr), name_);
  check(H5Dread(dataset_.raw(), type, memory.raw(), file.raw(), H5P_DEFAULT, out),
        fmt::format("{}: cannot read rows {} to {}", name_, first, first + count));
}

template <class Wide, class T>
void InputColumn::read_wide(std::int64_t first, std::span<T> out) const {
  std::vector<Wide> wide(out.size());
  read_raw(first, static_cast<std::int64_t>(out.size()) / std::max<std::int64_t>(width_, 1), native_type<Wide>(),
           wide.data());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!std::in_range<T>(wide[i])) {
      fail(Exit::data, fmt::format("{}: element {} is {}, which is out of range", name_,
                                   first * width_ + static_cast<std::int64_t>(i), wide[i]));
    }
    out[i] = static_cast<T>(wide[i]);
  }
}

template <class T>
void InputColumn::read(std::int64_t first, std::span<T> out) const {
  const std::int64_t count = static_cast<std::int64_t>(out.size()) / std::max<std::int64_t>(width_, 1);
  if constexpr (std::is_floating_point_v<T>) {
    if (class_ != Class::real) fail(Exit::data, fmt::format("{} holds {}, expected floats", name_, type_name()));
    read_raw(first, count, native_type<T>(), out.data());
  } else {
    if (class_ != Class::unsigned_integer && class_ != Class::signed_integer) {
      fail(Exit::data, fmt::format("{} holds {}, expected integers", name_, type_name()));
    }
    const bool is_signed = class_ == Class::signed_integer;
    const bool fits = is_signed == std::is_signed_v<T> ? type_size_ <= sizeof(T) : !is_signed && type_size_ < sizeof(T);
    if (fits) return read_raw(first, count, native_type<T>(), out.data());
    if (is_signed) return read_wide<std::int64_t>(first, out);
    read_wide<std::uint64_t>(first, out);
  }
}

template void InputColumn::read(std::int64_t, std::span<std::uint8_t>) const;
template void InputColumn::read(std::int64_t, std::span<std::uint32_t>) const;
template void InputColumn::read(std::int64_t, std::span<std::uint64_t>) const;
template void InputColumn::read(std::int64_t, std::span<std::int32_t>) const;
template void InputColumn::read(std::int64_t, std::span<std::int64_t>) const;
template void InputColumn::read(std::int64_t, std::span<float>) const;
template void InputColumn::read(std::int64_t, std::span<double>) const;

std::vector<std::string> InputColumn::read_text(std::int64_t first, std::int64_t count) const {
  const Lock lock;
  std::vector<std::string> strings;
  strings.reserve(static_cast<std::size_t>(count));
  if (class_ == Class::signed_integer || class_ == Class::unsigned_integer) {
    for (std::int64_t value : read<std::int64_t>(first, count)) strings.push_back(std::to_string(value));
    return strings;
  }
  if (!is_text()) fail(Exit::data, fmt::format("{} holds {}, expected strings or integers", name_, type_name()));
  const Type type = own<Type>(H5Dget_type(dataset_.raw()), name_);
  if (class_ == Class::variable_text) {
    std::vector<char*> pointers(static_cast<std::size_t>(count), nullptr);
    read_raw(first, count, type.raw(), pointers.data());
    for (const char* text : pointers) strings.emplace_back(text ? text : "");
    const hsize_t size = static_cast<hsize_t>(count);
    const Space memory = own<Space>(H5Screate_simple(1, &size, nullptr), name_);
    if (count > 0) check(H5Dvlen_reclaim(type.raw(), memory.raw(), H5P_DEFAULT, pointers.data()), name_);
    return strings;
  }
  std::string bytes(type_size_ * static_cast<std::size_t>(count), '\0');
  read_raw(first, count, type.raw(), bytes.data());
  const H5T_str_t padding = H5Tget_strpad(type.raw());
  for (std::size_t at = 0; at < bytes.size(); at += type_size_) {
    const std::string_view text = std::string_view(bytes).substr(at, type_size_);
    const std::size_t end = padding == H5T_STR_NULLTERM
                                ? std::min(text.find('\0'), text.size())
                                : text.find_last_not_of(padding == H5T_STR_SPACEPAD ? ' ' : '\0') + 1;
    strings.emplace_back(text.substr(0, end));
  }
  return strings;
}

std::vector<std::string> InputColumn::text_attribute(const std::string& name) const {
  const Lock lock;
  const std::string what = fmt::format("{}: attribute {}", name_, name);
  if (check(H5Aexists(dataset_.raw(), name.c_str()), what) == 0) return {};
  return strings_of(own<Attribute>(H5Aopen(dataset_.raw(), name.c_str(), H5P_DEFAULT), what).raw(), what);
}

}  // namespace thresher::store::hdf5
