#include "store/hdf5_driver.h"

#if __has_include(<H5FDdevelop.h>)
#include <H5FDdevelop.h>
#endif

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <span>
#include <utility>

namespace thresher::store::hdf5 {
namespace {

struct Access {
  const base::ReadFile* file;
};

// What the library holds for an open file: its own fields come first.
struct OpenFile {
  H5FD_t library;
  const base::ReadFile* file;
  haddr_t end_of_addresses, bytes;
};

// Under the library's lock.
std::exception_ptr read_error;

H5FD_t* open(const char*, unsigned flags, hid_t access, haddr_t) {
  const auto* wanted = static_cast<const Access*>(H5Pget_driver_info(access));
  if (!wanted || (flags & (H5F_ACC_RDWR | H5F_ACC_TRUNC | H5F_ACC_CREAT)) != 0) return nullptr;
  auto* opened = new (std::nothrow) OpenFile{};
  if (!opened) return nullptr;
  opened->file = wanted->file;
  opened->bytes = static_cast<haddr_t>(wanted->file->size());
  return &opened->library;
}

OpenFile* own_of(H5FD_t* file) {
  return reinterpret_cast<OpenFile*>(file);
}
const OpenFile* own_of(const H5FD_t* file) {
  return reinterpret_cast<const OpenFile*>(file);
}

herr_t close(H5FD_t* file) {
  delete own_of(file);
  return 0;
}

int compare(const H5FD_t* a, const H5FD_t* b) {
  const auto* first = own_of(a)->file;
  const auto* second = own_of(b)->file;
  return std::less<>()(first, second) ? -1 : first == second ? 0 : 1;
}

herr_t query(const H5FD_t*, unsigned long* features) {
  *features = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
              H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

haddr_t end_of_addresses(const H5FD_t* file, H5FD_mem_t) {
  return own_of(file)->end_of_addresses;
}
herr_t move_end_of_addresses(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  own_of(file)->end_of_addresses = address;
  return 0;
}
haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) {
  return own_of(file)->bytes;
}

// No exception may pass through the library.
herr_t read(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t size, void* out) {
  const OpenFile& opened = *own_of(file);
  const std::size_t there = address < opened.bytes ? std::min<haddr_t>(size, opened.bytes - address) : 0;
  try {
    opened.file->read_at(static_cast<std::int64_t>(address), std::span(static_cast<std::byte*>(out), there));
  } catch (...) {
    read_error = std::current_exception();
    return -1;
  }
  std::memset(static_cast<char*>(out) + there, 0, size - there);  // as the library's own driver does beyond the end
  return 0;
}

herr_t write(H5FD_t*, H5FD_mem_t, hid_t, haddr_t, size_t, const void*) {
  return -1;
}

hid_t register_driver() {
  static H5FD_class_t driver{};
#ifdef H5FD_CLASS_VERSION
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(512);  // from the range for drivers of programs
#endif
  driver.name = "thresher";
  driver.maxaddr = static_cast<haddr_t>(std::numeric_limits<std::int64_t>::max());
  driver.fc_degree = H5F_CLOSE_WEAK;
  driver.fapl_size = sizeof(Access);
  driver.open = open;
  driver.close = close;
  driver.cmp = compare;
  driver.query = query;
  driver.get_eoa = end_of_addresses;
  driver.set_eoa = move_end_of_addresses;
  driver.get_eof = end_of_file;
  driver.read = read;
  driver.write = write;
  constexpr H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(map), std::end(map), driver.fl_map);
  return check(H5FDregister(&driver), "HDF5 file driver", base::Exit::unavailable);
}

}  // namespace

void read_through(const base::ReadFile& file, const Properties& access) {
  const Lock lock;
  static const hid_t driver = register_driver();
  const Access info{&file};
  check(H5Pset_driver(access.raw(), driver, &info), "HDF5 file driver", base::Exit::unavailable);
}

void rethrow_read_error() {
  if (read_error) std::rethrow_exception(std::exchange(read_error, nullptr));
}

}  // namespace thresher::store::hdf5
