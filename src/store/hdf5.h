// The HDF5 C library behind owners that close themselves, one lock and one error message.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <source_location>
#include <string>

#include "thresher/base/check.h"
#include "thresher/base/handle.h"

namespace thresher::store::hdf5 {

// Debian's library is not thread-safe: every call is made under this lock, which a thread may take again. The first one
// starts the library: no plugins, no messages of its own, no exit handler (it crashes after a failed write).
class Lock {
 public:
  Lock();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

template <auto Close>
herr_t close_locked(hid_t id) {
  const Lock lock;
  return Close(id);
}

template <auto Close>
using Owned = base::Handle<hid_t, close_locked<Close>, hid_t{H5I_INVALID_HID}>;

using File = Owned<H5Fclose>;
using Dataset = Owned<H5Dclose>;
using Group = Owned<H5Gclose>;
using Object = Owned<H5Oclose>;
using Space = Owned<H5Sclose>;
using Type = Owned<H5Tclose>;
using Properties = Owned<H5Pclose>;
using Attribute = Owned<H5Aclose>;

// The library's own words for its last error, from where it arose.
std::string reason();

// A new name for a file in memory. The core driver opens an existing file of its name even without backing store: these
// lie below a file and cannot exist.
std::string image_name();

// Throws what reading a file threw since the last such call, if anything (hdf5_driver.h).
void rethrow_read_error();

// Throw base::Error "<what>: <the library's reason>" when `result` is negative, else return it.
template <class T>
T check(T result, const std::string& what, base::Exit exit = base::Exit::data,
        std::source_location where = std::source_location::current()) {
  if (result < 0) {
    rethrow_read_error();
    base::fail(exit, what + ": " + reason(), where);
  }
  return result;
}

// check, and an owner for the new identifier.
template <class Owner>
Owner own(hid_t id, const std::string& what, base::Exit exit = base::Exit::data,
          std::source_location where = std::source_location::current()) {
  return Owner(check(id, what, exit, where));
}

template <class T>
hid_t native_type();
template <>
inline hid_t native_type<std::uint8_t>() {
  return H5T_NATIVE_UINT8;
}
template <>
inline hid_t native_type<std::uint16_t>() {
  return H5T_NATIVE_UINT16;
}
template <>
inline hid_t native_type<std::uint32_t>() {
  return H5T_NATIVE_UINT32;
}
template <>
inline hid_t native_type<std::uint64_t>() {
  return H5T_NATIVE_UINT64;
}
template <>
inline hid_t native_type<std::int32_t>() {
  return H5T_NATIVE_INT32;
}
template <>
inline hid_t native_type<std::int64_t>() {
  return H5T_NATIVE_INT64;
}
template <>
inline hid_t native_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
inline hid_t native_type<double>() {
  return H5T_NATIVE_DOUBLE;
}

}  // namespace thresher::store::hdf5
