#include "app/bundle.h"

#include <sys/auxv.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace thresher::app {
namespace {

namespace fs = std::filesystem;

// The folder above the program's; without /proc by the name it was started with.
fs::path root() {
  std::error_code error;
  fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) {
    const auto* const name = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
    program = name == nullptr ? fs::path() : fs::absolute(name, error);
  }
  return program.parent_path().parent_path();
}

}  // namespace

void use_bundled_mpi() {
  std::error_code error;
  const fs::path bundle = root(), plugins = bundle / "lib" / "openmpi";
  if (!fs::is_directory(plugins, error)) return;
  setenv("OPAL_PREFIX", bundle.c_str(), 0);
  setenv("OPAL_PKGLIBDIR", plugins.c_str(), 0);
  setenv("OMPI_MCA_mca_base_component_path", plugins.c_str(), 0);
  setenv("OMPI_MCA_pml", "ob1", 0);
  setenv("OMPI_MCA_btl", "self,vader,tcp", 0);
  setenv("HWLOC_HIDE_ERRORS", "2", 0);
  // Alone there is no daemon to ask, and none is carried along.
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
}

}  // namespace thresher::app
