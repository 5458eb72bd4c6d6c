// Stands between one process and any file system: calls fail, write too little, or end the process.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "thresher/base/file.h"

namespace thresher::tests {

// The calls of base::FileSystem and of its files, as far as they can fail.
enum class Operation : std::uint8_t {
  open,
  read,
  entry,
  list,
  // the following change the disk
  create,
  write,
  resize,
  sync,
  append,
  make_directories,
  link,
  rename,
  remove,
  sync_directory,
  lock
};
inline constexpr std::size_t operation_count = 15;
constexpr bool changes_disk(Operation operation) {
  return operation >= Operation::create;
}
const char* name_of(Operation operation);

// What goes wrong at the call `at`, counted from 0 and from now, of one kind of call, or of all that change the disk.
struct Fault {
  enum class Kind : std::uint8_t {
    error,        // nothing happens but the error
    short_write,  // a write writes `share` of its bytes, then there is an error; other calls as `error`
    late_error,   // it happens, and there is an error all the same
    crash         // the process is dead; of a write, `share` has happened
  };
  Kind kind = Kind::error;
  int error = 0;  // errno
  std::int64_t at = 0;
  std::optional<Operation> operation{};
  bool from_then_on = false;
  double share = 0.5;
};

// Thrown where a process dies. No std::exception, so that no handler takes it for an error.
struct Crash {};

// For one thread. `below` must outlive the object and the files that were opened through it.
class FaultyFiles final : public base::FileSystem {
 public:
  // Its temporary names hold `process`, unless that is empty, and are the same ones each time.
  explicit FaultyFiles(base::FileSystem& below, std::string process = {});
  ~FaultyFiles() override;

  void inject(const Fault& fault);
  // No more faults. A dead process stays dead.
  void heal();
  // Before call number `call` of any kind, from 0 and from now, something else happens: what another process does.
  void before(std::int64_t call, std::function<void()> work);
  // The process dies now: from now on its calls throw Crash, but `remove`, which is called while objects are destroyed
  // and does nothing.
  void die() { dead_ = true; }
  bool dead() const { return dead_; }
  // Whether a fault has struck.
  bool struck() const { return struck_; }
  // Calls so far.
  std::int64_t calls(Operation operation) const { return calls_[static_cast<std::size_t>(operation)]; }
  std::int64_t changes() const { return changes_; }

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
  base::Path temporary_name(const base::Path& path) override;

 private:
  friend class FaultyReadFile;
  friend class FaultyWriteFile;
  friend class FaultyAppendFile;

  struct Armed {
    Fault fault;
    std::int64_t left;  // calls until it strikes; below 0: it has
  };
  // Counts the call, and gives the fault that strikes it.
  const Fault* count(Operation operation);
  // Counts and does: `work` takes the share that is to be done.
  template <class Work>
  auto call(Operation operation, const base::Path& path, const Work& work);

  base::FileSystem& below_;
  const std::string process_;
  std::vector<Armed> armed_;
  std::array<std::int64_t, operation_count> calls_{};
  std::int64_t changes_ = 0, attempts_ = 0;
  std::function<void()> work_;
  std::int64_t until_work_ = 0;  // calls
  bool dead_ = false, struck_ = false;
};

}  // namespace thresher::tests
