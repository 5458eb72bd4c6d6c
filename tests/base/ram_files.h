// A disk in memory for tests: it fills up, fails at the k-th operation, and forgets what was not synced.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "thresher/base/file.h"

namespace thresher::tests {

class RamFiles final : public base::FileSystem {
 public:
  using base::FileSystem::open;
  std::unique_ptr<base::ReadFile> open(const base::Path& path, base::Links links) override;
  std::unique_ptr<base::WriteFile> create(const base::Path& path) override;
  std::unique_ptr<base::AppendFile> append(const base::Path& path) override;
  base::Entry entry(const base::Path& path) override;
  std::vector<std::string> list(const base::Path& directory) override;
  void make_directories(const base::Path& directory) override;
  bool link(const base::Path& from, const base::Path& to) override;
  void rename(const base::Path& from, const base::Path& to) override;
  void remove(const base::Path& path) override;
  void remove_tree(const base::Path& path) override;
  void sync_directory(const base::Path& directory) override;
  std::unique_ptr<base::FileLock> lock(const base::Path& path) override;
  std::int64_t free_bytes(const base::Path& path) override;

  // Operation number `operation` (from 0, counted from now) that changes the disk fails with `error`; all later ones
  // too when `from_then_on`, which is also what the disk sees when the process is killed there.
  void fail_at(std::int64_t operation, int error, bool from_then_on);
  // Read number `read` (from 0, counted from now) fails.
  void fail_read_at(std::int64_t read, int error);
  void heal();
  std::int64_t operations() const { return operations_; }
  std::int64_t reads() const { return reads_; }

  // Writes fail with ENOSPC when files hold more than this. free_bytes tells it, or not when `admit` is false.
  void limit(std::int64_t bytes, bool admit);

  // Names and bytes that were not synced are gone.
  void lose_power();

  // Without faults or counting.
  std::string content(const base::Path& path) const;
  void put(const base::Path& path, std::string content);
  std::vector<std::string> names() const;  // of all files, sorted

  struct Node {
    std::string now, synced;
  };

 private:
  friend class RamReadFile;
  friend class RamWriteFile;
  friend class RamAppendFile;
  friend class RamLock;
  void operate(const std::string& what);
  void count_read(const std::string& what);
  std::shared_ptr<Node> node(const base::Path& path, base::Exit code = base::Exit::no_input);
  std::int64_t used() const;

  mutable std::recursive_mutex mutex_;
  std::map<std::string, std::shared_ptr<Node>> names_, synced_names_;
  std::set<std::string> directories_{"/", ""}, locks_;
  std::int64_t operations_ = 0, reads_ = 0, capacity_ = -1;
  std::int64_t fail_at_ = -1, fail_read_at_ = -1;
  int error_ = 0, read_error_ = 0;
  bool from_then_on_ = false, admit_ = true;
};

}  // namespace thresher::tests
