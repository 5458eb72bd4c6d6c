#include "thresher/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <random>
#include <system_error>

#include "thresher/base/check.h"
#include "thresher/base/handle.h"

namespace thresher::base {
namespace {

using Descriptor = Handle<int, ::close, -1>;

// Some file systems refuse a single transfer of 2 GiB or more.
constexpr std::size_t largest_transfer = std::size_t{1} << 30;

[[noreturn]] void refuse(Exit otherwise, const std::string& what, const Path& path, int error) {
  if (error == ELOOP)
    fail(Exit::permission, what + " " + path.string() + ": it is a symbolic link, which is not followed here");
  fail_errno(exit_of(error, otherwise), what + " " + path.string(), error);
}

template <class Call>
auto repeat(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

Descriptor open_descriptor(const Path& path, int flags, Exit otherwise, const std::string& what) {
  Descriptor descriptor(repeat([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); }));
  if (!descriptor) refuse(otherwise, what, path, errno);
  return descriptor;
}

class PosixReadFile final : public ReadFile {
 public:
  PosixReadFile(const Path& path, Links links)
      : path_(path),
        descriptor_(open_descriptor(path, O_RDONLY | O_NONBLOCK | (links == Links::refuse ? O_NOFOLLOW : 0),
                                    Exit::no_input, "cannot open")) {
    struct stat status {};
    if (::fstat(descriptor_.raw(), &status) != 0) refuse(Exit::no_input, "cannot open", path, errno);
    if (!S_ISREG(status.st_mode)) fail(Exit::no_input, "cannot read " + path.string() + ": it is not a regular file");
    size_ = status.st_size;
    static_cast<void>(::posix_fadvise(descriptor_.raw(), 0, 0, POSIX_FADV_SEQUENTIAL));
  }

  std::int64_t size() const override { return size_; }

  void read_at(std::int64_t offset, std::span<std::byte> bytes) const override {
    const std::int64_t end = offset + static_cast<std::int64_t>(bytes.size());
    while (!bytes.empty()) {
      const ssize_t count = repeat(
          [&] { return ::pread(descriptor_.raw(), bytes.data(), std::min(bytes.size(), largest_transfer), offset); });
      if (count < 0) refuse(Exit::io, "cannot read", path_, errno);
      if (count == 0) {
        fail(Exit::data, path_.string() + " ends at byte " + std::to_string(offset) + ", expected " +
                             std::to_string(end) + ": was it cut or changed meanwhile?");
      }
      offset += count;
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

 private:
  Path path_;
  Descriptor descriptor_;
  std::int64_t size_ = 0;
};

class PosixWriteFile final : public WriteFile {
 public:
  explicit PosixWriteFile(const Path& path)
      : path_(path),
        descriptor_(
            open_descriptor(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, Exit::cannot_create, "cannot create")) {}

  void write_at(std::int64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = repeat(
          [&] { return ::pwrite(descriptor_.raw(), bytes.data(), std::min(bytes.size(), largest_transfer), offset); });
      if (count < 0) refuse(Exit::io, "cannot write", path_, errno);
      if (count == 0) refuse(Exit::io, "cannot write", path_, EIO);
      offset += count;
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  void resize(std::int64_t bytes) override {
    if (repeat([&] { return ::ftruncate(descriptor_.raw(), bytes); }) != 0)
      refuse(Exit::io, "cannot resize", path_, errno);
  }

  // Closing reports nothing that a successful fsync has not reported, so the destructor may ignore it.
  void sync() override {
    if (repeat([&] { return ::fsync(descriptor_.raw()); }) != 0) refuse(Exit::io, "cannot sync", path_, errno);
  }

 private:
  Path path_;
  Descriptor descriptor_;
};

// One write call for each piece keeps lines of several threads and processes whole.
class PosixAppendFile final : public AppendFile {
 public:
  explicit PosixAppendFile(const Path& path)
      : path_(path),
        descriptor_(
            open_descriptor(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, Exit::cannot_create, "cannot create")) {}

  void append(std::string_view text) override {
    while (!text.empty()) {
      const ssize_t count = repeat([&] { return ::write(descriptor_.raw(), text.data(), text.size()); });
      if (count < 0) refuse(Exit::io, "cannot write", path_, errno);
      if (count == 0) refuse(Exit::io, "cannot write", path_, EIO);
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }

 private:
  Path path_;
  Descriptor descriptor_;
};

class PosixLock final : public FileLock {
 public:
  explicit PosixLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  Descriptor descriptor_;
};

class PosixFiles final : public FileSystem {
 public:
  std::unique_ptr<ReadFile> open(const Path& path, Links links) override {
    return std::make_unique<PosixReadFile>(path, links);
  }

  std::unique_ptr<WriteFile> create(const Path& path) override { return std::make_unique<PosixWriteFile>(path); }

  std::unique_ptr<AppendFile> append(const Path& path) override { return std::make_unique<PosixAppendFile>(path); }

  Entry entry(const Path& path) override {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return Entry::none;
      refuse(Exit::no_input, "cannot look at", path, errno);
    }
    if (S_ISREG(status.st_mode)) return Entry::file;
    if (S_ISDIR(status.st_mode)) return Entry::directory;
    return S_ISLNK(status.st_mode) ? Entry::link : Entry::other;
  }

  std::vector<std::string> list(const Path& directory) override {
    std::error_code error;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
      names.push_back(at->path().filename().string());
    }
    if (error) refuse(Exit::no_input, "cannot list", directory, error.value());
    std::sort(names.begin(), names.end());
    return names;
  }

  void make_directories(const Path& directory) override {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) refuse(Exit::cannot_create, "cannot create directory", directory, error.value());
  }

  bool link(const Path& from, const Path& to) override {
    if (::link(from.c_str(), to.c_str()) == 0) return true;
    if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS) {  // a file system without hard links
      if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
    }
    if (errno == EEXIST) return false;
    refuse(Exit::io, "cannot link " + from.string() + " to", to, errno);
  }

  void rename(const Path& from, const Path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) refuse(Exit::io, "cannot rename " + from.string() + " to", to, errno);
  }

  void remove(const Path& path) override {
    std::error_code error;
    std::filesystem::remove(path, error);
    if (error) refuse(Exit::io, "cannot remove", path, error.value());
  }

  void remove_tree(const Path& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) refuse(Exit::io, "cannot remove", path, error.value());
  }

  void sync_directory(const Path& directory) override {
    const Path path = directory.empty() ? Path(".") : directory;
    const Descriptor descriptor = open_descriptor(path, O_RDONLY | O_DIRECTORY, Exit::io, "cannot open directory");
    // Some network file systems cannot sync a directory; they make names durable by themselves.
    if (repeat([&] { return ::fsync(descriptor.raw()); }) != 0 && errno != EINVAL && errno != ENOTSUP) {
      refuse(Exit::io, "cannot sync directory", path, errno);
    }
  }

  std::unique_ptr<FileLock> lock(const Path& path) override {
    Descriptor descriptor = open_descriptor(path, O_RDWR | O_CREAT | O_NOFOLLOW, Exit::cannot_create, "cannot create");
    if (repeat([&] { return ::flock(descriptor.raw(), LOCK_EX | LOCK_NB); }) == 0) {
      return std::make_unique<PosixLock>(std::move(descriptor));
    }
    if (errno == EWOULDBLOCK) return nullptr;
    refuse(Exit::io, "cannot lock", path, errno);
  }

  std::int64_t free_bytes(const Path& path) override {
    struct statvfs status {};
    if (::statvfs(path.c_str(), &status) != 0) refuse(Exit::no_input, "cannot look at", path, errno);
    std::int64_t bytes = 0;
    if (__builtin_mul_overflow(status.f_bavail, status.f_frsize, &bytes))
      return std::numeric_limits<std::int64_t>::max();
    return bytes;
  }
};

}  // namespace

Exit exit_of(int error, Exit otherwise) {
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return Exit::permission;
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EFBIG:
      return Exit::io;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Exit::os;
    default:
      return otherwise;
  }
}

FileSystem& real_files() {
  static PosixFiles files;
  return files;
}

std::string read_all(FileSystem& files, const Path& path, std::int64_t limit, Links links) {
  const std::unique_ptr<ReadFile> file = files.open(path, links);
  if (file->size() > limit) {
    fail(Exit::data, path.string() + " has " + std::to_string(file->size()) + " bytes, at most " +
                         std::to_string(limit) + " are allowed");
  }
  std::string content(static_cast<std::size_t>(file->size()), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(content)));
  return content;
}

Path FileSystem::temporary_name(const Path& path) {
  // Process numbers repeat on other hosts, in other containers and after a restart.
  static const std::uint32_t nonce = std::random_device{}();
  static std::atomic<std::int64_t> attempts = 0;
  return path.parent_path() /
         fmt::format(".{}.{}-{:08x}.{}.tmp", path.filename().string(), ::getpid(), nonce, attempts++);
}

void write_atomically(FileSystem& files, const Path& path, std::span<const std::byte> bytes) {
  const Path temporary = files.temporary_name(path);
  try {
    const std::unique_ptr<WriteFile> file = files.create(temporary);
    file->write_at(0, bytes);
    file->sync();
    files.rename(temporary, path);
  } catch (...) {
    remove_quietly(files, temporary);
    throw;
  }
  files.sync_directory(path.parent_path());
}

void write_atomically(FileSystem& files, const Path& path, std::string_view text) {
  write_atomically(files, path, std::as_bytes(std::span(text)));
}

void remove_quietly(FileSystem& files, const Path& path) noexcept {
  try {
    files.remove(path);
  } catch (const std::exception&) {
    // The error that led here is the one to report.
  }
}

}  // namespace thresher::base
