#include "comm/nccl_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <source_location>
#include <string>

#include "thresher/base/check.h"
#include "thresher/comm/nccl.h"

namespace thresher::comm {
namespace {

namespace fs = std::filesystem;

constexpr const char* file_name = "libnccl.so.2";
// The first one whose communicators need never block, not even at their end, and that has been seen to work so.
constexpr int oldest = NCCL_VERSION(2, 18, 1);

void* open_library() {
  if (void* const library = dlopen(file_name, RTLD_NOW | RTLD_LOCAL)) return library;
  const std::string why = dlerror();
  const char* const given = std::getenv("CUDA_PATH");
  const fs::path folder = given ? fs::path(given) : fs::path("/usr/local/cuda");
  for (const char* place : {"lib64", "lib"})
    if (void* const library = dlopen((folder / place / file_name).c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  base::fail(base::Exit::unavailable,
             fmt::format("NCCL cannot be loaded: {}; install it, or name its folder in LD_LIBRARY_PATH", why),
             std::source_location());
}

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function)
    base::fail(base::Exit::unavailable, fmt::format("{} has no {}: it is no NCCL, or too old", file_name, name),
               std::source_location());
}

NcclLibrary load() {
  void* const file = open_library();
  NcclLibrary nccl;
  find(file, "ncclGetVersion", nccl.get_version);
  if (nccl.get_version(&nccl.version) != ncclSuccess || nccl.version < oldest)
    base::fail(
        base::Exit::unavailable,
        fmt::format("NCCL {} is too old: {} is needed", nccl_version_text(nccl.version), nccl_version_text(oldest)),
        std::source_location());
  find(file, "ncclGetUniqueId", nccl.get_unique_id);
  find(file, "ncclCommInitRankConfig", nccl.comm_init_rank_config);
  find(file, "ncclCommFinalize", nccl.comm_finalize);
  find(file, "ncclCommDestroy", nccl.comm_destroy);
  find(file, "ncclCommAbort", nccl.comm_abort);
  find(file, "ncclCommGetAsyncError", nccl.comm_get_async_error);
  find(file, "ncclGetErrorString", nccl.get_error_string);
  find(file, "ncclAllReduce", nccl.all_reduce);
  find(file, "ncclSend", nccl.send);
  find(file, "ncclRecv", nccl.recv);
  find(file, "ncclGroupStart", nccl.group_start);
  find(file, "ncclGroupEnd", nccl.group_end);
  return nccl;
}

}  // namespace

const NcclLibrary& nccl_library() {
  static const NcclLibrary library = load();
  return library;
}

NcclState nccl_state() {
  try {
    return {.version = nccl_library().version, .trouble = {}};
  } catch (const base::Error& error) {
    return {.version = 0, .trouble = error.what()};
  }
}

}  // namespace thresher::comm
