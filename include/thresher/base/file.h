// Files through one interface, so that tests can run on a RAM disk that fills up, fails or tears.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/check.h"

namespace thresher::base {

using Path = std::filesystem::path;

// What a name stands for, not following a symbolic link.
enum class Entry : std::uint8_t { none, file, directory, link, other };

// Whether opening a file may follow a symbolic link in its last component.
enum class Links : std::uint8_t { follow, refuse };

// A file open for reading. Safe to use from several threads.
class ReadFile {
 public:
  virtual ~ReadFile() = default;
  virtual std::int64_t size() const = 0;
  // Reads exactly bytes.size() bytes at `offset`; throws Error (io, or data when the file is shorter than that).
  virtual void read_at(std::int64_t offset, std::span<std::byte> bytes) const = 0;
};

// A new file, written front to back or at given offsets. Nothing is durable before `sync`.
class WriteFile {
 public:
  virtual ~WriteFile() = default;
  virtual void write_at(std::int64_t offset, std::span<const std::byte> bytes) = 0;
  // Sets the length; what was never written reads as zeros.
  virtual void resize(std::int64_t bytes) = 0;
  virtual void sync() = 0;
};

// A file that grows line by line, like a log. Safe to use from several threads: what one call appends stays together.
// Nothing in it is ever made durable.
class AppendFile {
 public:
  virtual ~AppendFile() = default;
  virtual void append(std::string_view text) = 0;
};

// Held until destroyed; a dead process's lock is gone with it.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// Every method throws Error (no_input, cannot_create, permission, io) with the path and the system's reason.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual std::unique_ptr<ReadFile> open(const Path& path, Links links) = 0;
  std::unique_ptr<ReadFile> open(const Path& path) { return open(path, Links::follow); }
  // Fails if the file exists.
  virtual std::unique_ptr<WriteFile> create(const Path& path) = 0;
  // Creates the file where there is none; a symbolic link is refused.
  virtual std::unique_ptr<AppendFile> append(const Path& path) = 0;
  virtual Entry entry(const Path& path) = 0;
  bool exists(const Path& path) { return entry(path) != Entry::none; }
  // Names (not paths) in a directory, sorted.
  virtual std::vector<std::string> list(const Path& directory) = 0;
  virtual void make_directories(const Path& directory) = 0;
  // False if `to` exists already (then nothing changes); `from` keeps its name too, but
  // for file systems without hard links, where it is renamed.
  virtual bool link(const Path& from, const Path& to) = 0;
  // Replaces `to`.
  virtual void rename(const Path& from, const Path& to) = 0;
  // A file or an empty directory; no error when there is none.
  virtual void remove(const Path& path) = 0;
  virtual void remove_tree(const Path& path) = 0;
  // Makes names created, linked, renamed or removed in `directory` durable.
  virtual void sync_directory(const Path& directory) = 0;
  // An exclusive lock; null if another process holds it.
  virtual std::unique_ptr<FileLock> lock(const Path& path) = 0;
  // Bytes free for this user on the file system that holds `path`.
  virtual std::int64_t free_bytes(const Path& path) = 0;
  // ".<name>.<process>.<attempt>.tmp" beside `path`, another one at each call and in each process of any host.
  virtual Path temporary_name(const Path& path);
};

// How the process ends after an error of the system's: by its number where that says enough, else `otherwise`.
Exit exit_of(int error, Exit otherwise);

// The machine's own files.
FileSystem& real_files();

// The whole content of a file; throws Error (data) when it is larger than `limit`.
std::string read_all(FileSystem& files, const Path& path, std::int64_t limit, Links links = Links::follow);

// For cleaning up after an error: what fails here is not reported.
void remove_quietly(FileSystem& files, const Path& path) noexcept;

// Writes under a temporary name in the same directory, syncs, renames, syncs the directory.
void write_atomically(FileSystem& files, const Path& path, std::span<const std::byte> bytes);
void write_atomically(FileSystem& files, const Path& path, std::string_view text);

}  // namespace thresher::base
