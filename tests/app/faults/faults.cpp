// Preloaded into a rank, this makes its system calls fail (LD_PRELOAD). Settings in the environment:
//   FAULT_RANK   the rank of MPI_COMM_WORLD that is meant; all others are left alone
//   FAULT_CALL   read, write, sync, or compute (oneDNN's products)
//   FAULT_PATH   pattern (fnmatch) of the file's full name; not for compute
//   FAULT_WHEN   a file: calls before it exists do not count; may be missing
//   FAULT_AFTER  so many calls work first; all later ones fail
//   FAULT_ERROR  errno of the failure; 0: they take FAULT_SECONDS and work
//   FAULT_LOG    a file that is made when the first call fails: a test can tell that the fault struck
#include <dlfcn.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

const char* setting(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct Fault {
  bool mine =
      *setting("FAULT_RANK") != '\0' && std::strcmp(setting("FAULT_RANK"), setting("OMPI_COMM_WORLD_RANK")) == 0;
  const char* call = setting("FAULT_CALL");
  const char* path = setting("FAULT_PATH");
  const char* when = setting("FAULT_WHEN");
  const char* log = setting("FAULT_LOG");
  int seconds = std::atoi(setting("FAULT_SECONDS"));
  int error = std::atoi(setting("FAULT_ERROR"));
  std::atomic<long> left = std::atol(setting("FAULT_AFTER"));
};

Fault& fault() {
  static Fault fault;
  return fault;
}

bool is_meant(int file) {
  if (file < 0) return true;
  char link[64], name[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = ::readlink(link, name, sizeof name - 1);
  if (length < 0) return false;
  name[length] = '\0';
  return ::fnmatch(fault().path, name, 0) == 0;
}

// True where this call has to fail; `file` is below 0 where there is none.
bool strikes(const char* call, int file) {
  Fault& one = fault();
  if (!one.mine || std::strcmp(one.call, call) != 0 || !is_meant(file)) return false;
  if (*one.when != '\0' && ::access(one.when, F_OK) != 0) return false;
  if (one.left-- > 0) return false;
  ::close(::open(one.log, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  if (one.error == 0) ::sleep(static_cast<unsigned>(one.seconds));
  errno = one.error;
  return one.error != 0;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t pread(int file, void* bytes, size_t count, off_t offset) {
  static auto* const real = next<ssize_t(int, void*, size_t, off_t)>("pread");
  return strikes("read", file) ? -1 : real(file, bytes, count, offset);
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return strikes("write", file) ? -1 : real(file, bytes, count, offset);
}

ssize_t write(int file, const void* bytes, size_t count) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  return strikes("write", file) ? -1 : real(file, bytes, count);
}

int fsync(int file) {
  static auto* const real = next<int(int)>("fsync");
  return strikes("sync", file) ? -1 : real(file);
}

// dnnl_status_t: 0 is success, 1 is out of memory, 5 is a runtime error.
int dnnl_primitive_execute(const void* primitive, void* stream, int count, const void* arguments) {
  static auto* const real = next<int(const void*, void*, int, const void*)>("dnnl_primitive_execute");
  return strikes("compute", -1) ? fault().error : real(primitive, stream, count, arguments);
}

}  // extern "C"
