// Preloaded into a rank, this makes its system calls fail (LD_PRELOAD). Settings in the environment:
//   FAULT_RANK    the rank of MPI_COMM_WORLD that is meant, 0 for a process without ranks; all others are left alone
//   FAULT_CALL    read, create, write, truncate, sync, link, rename, remove, make (a directory), any (of these but
//                 read), or compute (oneDNN's products)
//   FAULT_PATH    pattern (fnmatch) of the file's full name; not for compute
//   FAULT_WHEN    a file: calls before it exists do not count; may be missing
//   FAULT_AFTER   so many calls work first; all later ones fail
//   FAULT_ONCE    not empty: the one after them fails, later ones work
//   FAULT_ERROR   errno of the failure; 0: they take FAULT_SECONDS and work
//   FAULT_SHORT   not empty: instead, reads and writes do half of the bytes, and say so
//   FAULT_END     not empty: instead, reads find the end of the file
//   FAULT_SIGNAL  not empty: instead, the process gets this signal before the call
//   FAULT_LOG     a file that is made when the first call fails: a test can tell that the fault struck
//   FAULT_TALLY   a file that gets a byte for each call that is meant
#include <dlfcn.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

const char* setting(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_this_rank() {
  const char* const rank = setting("OMPI_COMM_WORLD_RANK");
  return *setting("FAULT_RANK") != '\0' && std::strcmp(setting("FAULT_RANK"), *rank == '\0' ? "0" : rank) == 0;
}

struct Fault {
  bool mine = is_this_rank();
  const char* call = setting("FAULT_CALL");
  const char* path = setting("FAULT_PATH");
  const char* when = setting("FAULT_WHEN");
  const char* log = setting("FAULT_LOG");
  const char* tally = setting("FAULT_TALLY");
  bool once = *setting("FAULT_ONCE") != '\0';
  bool cut = *setting("FAULT_SHORT") != '\0';
  bool end = *setting("FAULT_END") != '\0';
  int signal = std::atoi(setting("FAULT_SIGNAL"));
  int seconds = std::atoi(setting("FAULT_SECONDS"));
  int error = std::atoi(setting("FAULT_ERROR"));
  std::atomic<long> left = std::atol(setting("FAULT_AFTER"));
};

Fault& fault() {
  static Fault fault;
  return fault;
}

// A sanitizer makes files while it starts, when there is no environment yet, nor its own strtol.
bool too_early() {
  return ::environ == nullptr;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

int real_open(const char* path, int flags, mode_t mode) {
  static auto* const real = next<int(const char*, int, ...)>("open");
  return real(path, flags, mode);
}

void append(const char* path, const char* bytes, size_t count) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  const int file = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) return;
  static_cast<void>(real(file, bytes, count) < 0);
  ::close(file);
}

bool is_meant(const char* path) {
  return ::fnmatch(fault().path, path, 0) == 0;
}

bool is_meant(int file) {
  char link[64], name[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = ::readlink(link, name, sizeof name - 1);
  if (length < 0) return false;
  name[length] = '\0';
  return is_meant(name);
}

struct NoFile {};
bool is_meant(NoFile) {
  return true;
}

// Whether this call is the fault's, whatever that is.
template <class File>
bool is_struck(const char* call, File file) {
  if (too_early()) return false;
  Fault& one = fault();
  if (!one.mine) return false;
  const bool any =
      std::strcmp(one.call, "any") == 0 && std::strcmp(call, "read") != 0 && std::strcmp(call, "compute") != 0;
  if ((!any && std::strcmp(one.call, call) != 0) || !is_meant(file)) return false;
  if (*one.when != '\0' && ::access(one.when, F_OK) != 0) return false;
  if (*one.tally != '\0') append(one.tally, call, 1);
  const long left = one.left--;
  if (left > 0 || (one.once && left < 0)) return false;
  ::close(real_open(one.log, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  if (one.signal != 0) ::kill(::getpid(), one.signal);
  return true;
}

// True where this call has to fail, with errno set.
template <class File>
bool fails(const char* call, File file) {
  if (!is_struck(call, file)) return false;
  const Fault& one = fault();
  if (one.error == 0) ::sleep(static_cast<unsigned>(one.seconds));
  errno = one.error;
  return one.error != 0;
}

// How many of `count` bytes to read or write; below 0 for a failure.
ssize_t allowed(const char* call, int file, size_t count) {
  if (too_early()) return static_cast<ssize_t>(count);
  const Fault& one = fault();
  if (!one.cut && !one.end) return fails(call, file) ? -1 : static_cast<ssize_t>(count);
  if (count < 2 || !is_struck(call, file)) return static_cast<ssize_t>(count);
  return one.end ? 0 : static_cast<ssize_t>(count / 2);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return (flags & O_CREAT) != 0 && fails("create", path) ? -1 : real_open(path, flags, mode);
}

ssize_t pread(int file, void* bytes, size_t count, off_t offset) {
  static auto* const real = next<ssize_t(int, void*, size_t, off_t)>("pread");
  const ssize_t length = allowed("read", file, count);
  return length <= 0 ? length : real(file, bytes, static_cast<size_t>(length), offset);
}

// By the C++ library's streams.
ssize_t read(int file, void* bytes, size_t count) {
  static auto* const real = next<ssize_t(int, void*, size_t)>("read");
  const ssize_t length = allowed("read", file, count);
  return length <= 0 ? length : real(file, bytes, static_cast<size_t>(length));
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  const ssize_t length = allowed("write", file, count);
  return length < 0 ? -1 : real(file, bytes, static_cast<size_t>(length), offset);
}

ssize_t write(int file, const void* bytes, size_t count) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  const ssize_t length = allowed("write", file, count);
  return length < 0 ? -1 : real(file, bytes, static_cast<size_t>(length));
}

int ftruncate(int file, off_t length) {
  static auto* const real = next<int(int, off_t)>("ftruncate");
  return fails("truncate", file) ? -1 : real(file, length);
}

int fsync(int file) {
  static auto* const real = next<int(int)>("fsync");
  return fails("sync", file) ? -1 : real(file);
}

int link(const char* from, const char* to) {
  static auto* const real = next<int(const char*, const char*)>("link");
  return fails("link", to) ? -1 : real(from, to);
}

int rename(const char* from, const char* to) {
  static auto* const real = next<int(const char*, const char*)>("rename");
  return fails("rename", to) ? -1 : real(from, to);
}

int remove(const char* path) {
  static auto* const real = next<int(const char*)>("remove");
  return fails("remove", path) ? -1 : real(path);
}

int unlink(const char* path) {
  static auto* const real = next<int(const char*)>("unlink");
  return fails("remove", path) ? -1 : real(path);
}

int mkdir(const char* path, mode_t mode) {
  static auto* const real = next<int(const char*, mode_t)>("mkdir");
  return fails("make", path) ? -1 : real(path, mode);
}

// dnnl_status_t: 0 is success, 1 is out of memory, 5 is a runtime error.
int dnnl_primitive_execute(const void* primitive, void* stream, int count, const void* arguments) {
  static auto* const real = next<int(const void*, void*, int, const void*)>("dnnl_primitive_execute");
  return fails("compute", NoFile()) ? fault().error : real(primitive, stream, count, arguments);
}

}  // extern "C"
