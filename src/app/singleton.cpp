#include "app/singleton.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace thresher::app {
namespace {

constexpr const char* setting = "OMPI_MCA_orte_tmpdir_base";

// A folder that only this user can enter; nothing if `parent` does not take one.
std::string new_folder(const std::string& parent) {
  std::string name = parent + "/thresher-mpi.XXXXXX";
  return ::mkdtemp(name.data()) == nullptr ? std::string() : name;
}

}  // namespace

bool started_by_launcher() {
  for (const char* name : {"PMIX_NAMESPACE", "PMI_FD", "PMI_RANK", "PMI_ID", "OMPI_COMM_WORLD_SIZE"})
    if (std::getenv(name) != nullptr) return true;
  return false;
}

SingletonSession::SingletonSession() {
  if (started_by_launcher() || std::getenv(setting) != nullptr) return;
  if (const char* const temporary = std::getenv("TMPDIR"); temporary != nullptr && *temporary == '/')
    folder_ = new_folder(temporary);
  if (folder_.empty()) folder_ = new_folder("/tmp");
  if (!folder_.empty()) ::setenv(setting, folder_.c_str(), 1);
}

SingletonSession::~SingletonSession() {
  if (folder_.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
  ::unsetenv(setting);
}

}  // namespace thresher::app
