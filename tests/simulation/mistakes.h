// Files and rules that are wrong on purpose.
#pragma once

#include <memory>
#include <vector>

#include "simulation/launch.h"
#include "simulation/simulation.h"
#include "thresher/base/file.h"

namespace thresher::simulation {

// Syncs nothing, or too late.
class CarelessFiles final : public base::FileSystem {
 public:
  CarelessFiles(base::FileSystem& below, Mistake mistake) : below_(below), mistake_(mistake) {}

  using base::FileSystem::open;
  std::unique_ptr<base::ReadFile> open(const base::Path& path, base::Links links) override {
    return below_.open(path, links);
  }
  std::unique_ptr<base::WriteFile> create(const base::Path& path) override;
  std::unique_ptr<base::AppendFile> append(const base::Path& path) override { return below_.append(path); }
  base::Entry entry(const base::Path& path) override { return below_.entry(path); }
  std::vector<std::string> list(const base::Path& directory) override { return below_.list(directory); }
  void make_directories(const base::Path& directory) override { below_.make_directories(directory); }
  bool link(const base::Path& from, const base::Path& to) override { return below_.link(from, to); }
  void rename(const base::Path& from, const base::Path& to) override { below_.rename(from, to); }
  void remove(const base::Path& path) override { below_.remove(path); }
  void remove_tree(const base::Path& path) override { below_.remove_tree(path); }
  void sync_directory(const base::Path& directory) override;
  std::unique_ptr<base::FileLock> lock(const base::Path& path) override { return below_.lock(path); }
  std::int64_t free_bytes(const base::Path& path) override { return below_.free_bytes(path); }

 private:
  friend class CarelessWriteFile;
  base::FileSystem& below_;
  const Mistake mistake_;
  std::vector<std::shared_ptr<base::WriteFile>> late_;  // to be synced with the next directory
};

// Keeps a list of the shards that are done, brings it up to date before their parts are there, and believes it.
class DoneList final : public CommitRule {
 public:
  explicit DoneList(base::Path file) : file_(std::move(file)) {}
  std::vector<bool> begin(schedule::JobRecord& record, base::FileSystem& files, const store::Plan& plan) override;
  void commit(schedule::JobRecord& record, base::FileSystem& files,
              std::span<const schedule::CommittedPart> parts) override;

 private:
  const base::Path file_;  // outside the run directory
  std::vector<bool> done_;
};

}  // namespace thresher::simulation
