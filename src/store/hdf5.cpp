#include "store/hdf5.h"

#include <fmt/format.h>

#include <atomic>
#include <cstdint>

namespace thresher::store::hdf5 {
namespace {

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

bool start() {
  H5dont_atexit();
  if (H5open() < 0) base::fail(base::Exit::unavailable, "the HDF5 library does not start");
  H5PLset_loading_state(0);
  return true;
}

herr_t keep_first(unsigned number, const H5E_error2_t* error, void* text) {
  if (number == 0 && error->desc) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

}  // namespace

Lock::Lock() : lock_(library_mutex()) {
  [[maybe_unused]] static const bool started = start();
  // A build of the library with threads keeps this setting per thread.
  [[maybe_unused]] thread_local const herr_t silenced = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

std::string reason() {
  std::string text;
  if (H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &text) < 0 || text.empty()) return "HDF5 gives no reason";
  H5Eclear2(H5E_DEFAULT);
  return text;
}

std::string image_name() {
  static std::atomic<std::int64_t> count = 0;
  return fmt::format("/dev/null/image-{}", count++);
}

}  // namespace thresher::store::hdf5
