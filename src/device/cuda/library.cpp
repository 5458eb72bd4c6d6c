#include "device/cuda/library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <system_error>

#include "thresher/base/check.h"

namespace thresher::device {
namespace cuda {
namespace {

namespace fs = std::filesystem;

constexpr bool built_with_cuda = THRESHER_WITH_CUDA;

[[noreturn]] void unavailable(const std::string& message) {
  base::fail(base::Exit::unavailable, message, std::source_location());
}

// Where CUDA is installed but its libraries are not in the loader's folders: who comes after finds them loaded.
void load_toolkit_libraries() {
  const char* given = std::getenv("CUDA_PATH");
  const fs::path folder = given ? fs::path(given) : fs::path("/usr/local/cuda");
  for (const char* place : {"lib64", "lib"})
    if (dlopen((folder / place / THRESHER_CUBLAS_LIBRARY).c_str(), RTLD_NOW | RTLD_LOCAL)) return;
}

const Entry& entry() {
  static const Entry& loaded = [&]() -> const Entry& {
    if (!built_with_cuda)
      unavailable(
          "this program is built without CUDA; use the CPU (--device cpu), or build with -DTHRESHER_CUDA=ON where nvcc "
          "is installed");
    return load(library_file());
  }();
  return loaded;
}

}  // namespace

fs::path library_file() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  const fs::path installed = folder.parent_path() / "lib" / "thresher" / library_name;
  return !fs::exists(folder / library_name, error) && fs::exists(installed, error) ? installed : folder / library_name;
}

const Entry& load(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error))
    unavailable(
        fmt::format("{} is missing: the CUDA device is a library beside the program; copy it there, or use "
                    "the CPU (--device cpu)",
                    file.string()));
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    load_toolkit_libraries();
    library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (!library)
    unavailable(
        fmt::format("{} cannot be loaded: {}; the libraries of CUDA {} have to be installed, or their folder "
                    "named in LD_LIBRARY_PATH",
                    file.string(), dlerror(), THRESHER_CUDA_TOOLKIT));
  const auto function = reinterpret_cast<EntryFunction>(dlsym(library, entry_symbol));
  if (!function) unavailable(fmt::format("{} is no library of this program: {}", file.string(), dlerror()));
  const Entry* table = function();
  if (std::string_view(table->interface) != THRESHER_CUDA_INTERFACE)
    unavailable(fmt::format("{} belongs to another build ({}, this program is {}): install both from one build",
                            file.string(), table->interface, THRESHER_CUDA_INTERFACE));
  return *table;
}

}  // namespace cuda

std::vector<Gpu> gpus() {
  return cuda::entry().gpus();
}

std::unique_ptr<Device> make_cuda_device(const CudaOptions& options) {
  return cuda::entry().make(options);
}

std::string algorithms_of(Device& cuda_device) {
  return cuda::entry().algorithms(cuda_device);
}

std::string rehearse(Device& cuda_device, const std::function<void()>& body) {
  return cuda::entry().rehearse(cuda_device, body);
}

Tuning tune(Device& cuda_device, std::string_view steps) {
  return cuda::entry().tune(cuda_device, steps);
}

std::int64_t allocated_peak_of(Device& cuda_device) {
  return cuda::entry().allocated_peak(cuda_device);
}

void take_algorithms(Device& cuda_device, std::string_view algorithms) {
  cuda::entry().take(cuda_device, algorithms);
}

}  // namespace thresher::device
