// A disk in memory that tells what programs see from what is durable, and takes the power away.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "thresher/base/file.h"

namespace thresher::tests {

// What a disk may do with all that was not synced when the power goes. POSIX allows `any`; the others are what simpler
// disks do, and are tried more often than chance would.
enum class Survival : std::uint8_t {
  nothing,
  everything,
  first,  // names: the first few changes, as a journal keeps them; data: whole files
  any     // names: any of the changes; data: any of the sectors, in any of their states
};

// Data is durable once its file is synced, a name once its directory is. Absolute paths only. For one thread.
class SimulatedDisk final : public base::FileSystem {
 public:
  // Without hard links `link` renames, as real files do there.
  explicit SimulatedDisk(bool hard_links = true) : hard_links_(hard_links) {}

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

  // Writes fail with ENOSPC when all files together would hold more. free_bytes tells, or not.
  void limit(std::int64_t bytes, bool admit);
  void no_limit() { capacity_ = -1; }

  // The power goes and comes back: what was synced is there, of the rest what the dice say. Files that are open keep
  // working, on content that nobody sees any more.
  void lose_power(Random& random);
  void lose_power(Random& random, Survival names, Survival data);

  // Somebody overwrites a file that is there, durably.
  void damage(const base::Path& path, const std::string& content);

  // Of all files and directories, sorted.
  std::vector<std::string> names() const;
  // "(no such file)" where there is none.
  const std::string& content(const base::Path& path) const;

 private:
  friend class DiskFile;
  friend class DiskLock;

  struct Inode {
    std::string now, synced;
    // Since the last sync, in order: bytes written at an offset, or (without bytes) a new size.
    struct Change {
      std::size_t offset;
      std::string bytes;
    };
    std::vector<Change> changes;
    static void apply(std::string& content, const Change& change);
  };
  using File = std::shared_ptr<Inode>;  // null: a directory
  // A change of names that may not be durable yet. `from` is gone after it, if there is one; then `to` is there.
  struct NameChange {
    std::string from, to;
    File file;
  };
  using Names = std::map<std::string, File, std::less<>>;

  void change(NameChange change);
  static void apply(Names& names, const NameChange& change);
  void grow(std::int64_t bytes, const std::string& name) const;
  std::int64_t used() const;
  File find(const std::string& name, const char* what, base::Exit code = base::Exit::no_input) const;
  void expect_parent(const std::string& name) const;
  static std::string after_power_loss(const Inode& file, Random& random, Survival survival);

  const bool hard_links_;
  Names names_{{"/", nullptr}}, durable_{{"/", nullptr}};
  std::vector<NameChange> pending_;  // in order, of all directories
  std::set<std::string> locks_;
  std::int64_t capacity_ = -1;
  bool admit_ = true;
};

}  // namespace thresher::tests
