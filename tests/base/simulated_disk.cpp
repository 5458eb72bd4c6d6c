#include "base/simulated_disk.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "thresher/base/check.h"

namespace thresher::tests {

using base::Entry;
using base::Exit;
using base::fail_errno;
using base::Path;

namespace {

std::string key(const Path& path) {
  const std::string& text = path.native();
  if (text.empty() || text.front() != '/' || text.find("/./") != std::string::npos ||
      text.find("//") != std::string::npos || text.find("/../") != std::string::npos)
    base::fail(Exit::internal, text + " is not a plain absolute path");
  return text;
}

std::string_view parent(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == 0 ? name.substr(0, 1) : name.substr(0, slash);
}

}  // namespace

class DiskFile final : public base::ReadFile, public base::WriteFile, public base::AppendFile {
 public:
  DiskFile(SimulatedDisk& disk, std::string name, SimulatedDisk::File inode)
      : disk_(disk), name_(std::move(name)), inode_(std::move(inode)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(inode_->now.size()); }
  void read_at(std::int64_t offset, std::span<std::byte> bytes) const override {
    if (static_cast<std::size_t>(offset) + bytes.size() > inode_->now.size())
      base::fail(Exit::data, name_ + " ends at byte " + std::to_string(inode_->now.size()));
    std::copy_n(reinterpret_cast<const std::byte*>(inode_->now.data()) + offset, bytes.size(), bytes.begin());
  }
  void write_at(std::int64_t offset, std::span<const std::byte> bytes) override {
    if (bytes.empty()) return;
    change({static_cast<std::size_t>(offset), std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())});
  }
  void resize(std::int64_t bytes) override { change({static_cast<std::size_t>(bytes), {}}); }
  void sync() override {
    if (inode_->changes.empty()) return;
    inode_->synced = inode_->now;
    inode_->changes.clear();
  }
  void append(std::string_view text) override {
    if (!text.empty()) change({inode_->now.size(), std::string(text)});
  }

 private:
  void change(SimulatedDisk::Inode::Change change) {
    const std::size_t end = change.offset + change.bytes.size();
    if (end > inode_->now.size()) disk_.grow(static_cast<std::int64_t>(end - inode_->now.size()), name_);
    SimulatedDisk::Inode::apply(inode_->now, change);
    inode_->changes.push_back(std::move(change));
  }

  SimulatedDisk& disk_;
  std::string name_;
  SimulatedDisk::File inode_;
};

class DiskLock final : public base::FileLock {
 public:
  DiskLock(SimulatedDisk& disk, std::string name) : disk_(disk), name_(std::move(name)) {}
  ~DiskLock() override { disk_.locks_.erase(name_); }

 private:
  SimulatedDisk& disk_;
  std::string name_;
};

void SimulatedDisk::Inode::apply(std::string& content, const Change& change) {
  const std::size_t end = change.offset + change.bytes.size();
  if (change.bytes.empty() || end > content.size()) content.resize(end, '\0');
  std::copy(change.bytes.begin(), change.bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(change.offset));
}

void SimulatedDisk::apply(Names& names, const NameChange& change) {
  if (!change.from.empty()) names.erase(change.from);
  if (!change.to.empty()) names[change.to] = change.file;
}

void SimulatedDisk::change(NameChange change) {
  apply(names_, change);
  pending_.push_back(std::move(change));
}

void SimulatedDisk::grow(std::int64_t bytes, const std::string& name) const {
  if (capacity_ >= 0 && used() + bytes > capacity_) fail_errno(Exit::io, "cannot write " + name, ENOSPC);
}

std::int64_t SimulatedDisk::used() const {
  std::int64_t bytes = 0;
  for (const auto& entry : names_) bytes += entry.second ? static_cast<std::int64_t>(entry.second->now.size()) : 0;
  return bytes;
}

SimulatedDisk::File SimulatedDisk::find(const std::string& name, const char* what, Exit code) const {
  const auto found = names_.find(name);
  if (found == names_.end()) fail_errno(code, std::string("cannot ") + what + " " + name, ENOENT);
  return found->second;
}

void SimulatedDisk::expect_parent(const std::string& name) const {
  const auto found = names_.find(parent(name));
  if (found == names_.end() || found->second) fail_errno(Exit::cannot_create, "cannot create " + name, ENOENT);
}

std::unique_ptr<base::ReadFile> SimulatedDisk::open(const Path& path, base::Links) {
  const std::string name = key(path);
  const File file = find(name, "open");
  if (!file) base::fail(Exit::no_input, "cannot read " + name + ": it is not a regular file");
  return std::make_unique<DiskFile>(*this, name, file);
}

std::unique_ptr<base::WriteFile> SimulatedDisk::create(const Path& path) {
  const std::string name = key(path);
  expect_parent(name);
  if (names_.contains(name)) fail_errno(Exit::cannot_create, "cannot create " + name, EEXIST);
  auto file = std::make_shared<Inode>();
  change({{}, name, file});
  return std::make_unique<DiskFile>(*this, name, std::move(file));
}

std::unique_ptr<base::AppendFile> SimulatedDisk::append(const Path& path) {
  const std::string name = key(path);
  expect_parent(name);
  if (!names_.contains(name)) change({{}, name, std::make_shared<Inode>()});
  return std::make_unique<DiskFile>(*this, name, find(name, "open"));
}

Entry SimulatedDisk::entry(const Path& path) {
  const auto found = names_.find(key(path));
  if (found == names_.end()) return Entry::none;
  return found->second ? Entry::file : Entry::directory;
}

std::vector<std::string> SimulatedDisk::list(const Path& directory) {
  const std::string name = key(directory);
  if (find(name, "list")) fail_errno(Exit::no_input, "cannot list " + name, ENOTDIR);
  const std::string below = name == "/" ? name : name + "/";
  std::vector<std::string> found;
  for (auto at = names_.upper_bound(below); at != names_.end() && at->first.starts_with(below); ++at) {
    if (at->first.find('/', below.size()) == std::string::npos) found.push_back(at->first.substr(below.size()));
  }
  return found;
}

void SimulatedDisk::make_directories(const Path& directory) {
  const std::string name = key(directory);
  for (std::size_t at = 0; at != std::string::npos;) {
    at = name.find('/', at + 1);
    const std::string prefix = name.substr(0, at);
    const auto found = names_.find(prefix);
    if (found == names_.end())
      change({{}, prefix, nullptr});
    else if (found->second)
      fail_errno(Exit::cannot_create, "cannot create directory " + prefix, ENOTDIR);
  }
}

bool SimulatedDisk::link(const Path& from, const Path& to) {
  const std::string name = key(to);
  const File file = find(key(from), "link", Exit::io);
  expect_parent(name);
  if (names_.contains(name)) return false;
  change({hard_links_ ? std::string() : key(from), name, file});
  return true;
}

void SimulatedDisk::rename(const Path& from, const Path& to) {
  const File file = find(key(from), "rename", Exit::io);
  expect_parent(key(to));
  if (const auto there = names_.find(key(to)); there != names_.end() && there->second == file) return;
  change({key(from), key(to), file});
}

void SimulatedDisk::remove(const Path& path) {
  const std::string name = key(path);
  const auto found = names_.find(name);
  if (found == names_.end()) return;
  if (!found->second && !list(path).empty()) fail_errno(Exit::io, "cannot remove " + name, ENOTEMPTY);
  change({name, {}, nullptr});
}

void SimulatedDisk::remove_tree(const Path& path) {
  const std::string below = key(path) + "/";
  std::vector<std::string> found;
  for (auto at = names_.upper_bound(below); at != names_.end() && at->first.starts_with(below); ++at)
    found.push_back(at->first);
  for (auto name = found.rbegin(); name != found.rend(); ++name) change({*name, {}, nullptr});
  remove(path);
}

void SimulatedDisk::sync_directory(const Path& directory) {
  const std::string name = key(directory);
  if (find(name, "sync", Exit::io)) fail_errno(Exit::io, "cannot sync directory " + name, ENOTDIR);
  std::erase_if(pending_, [&](const NameChange& change) {
    const bool here = parent(change.to.empty() ? change.from : change.to) == name;
    if (here) apply(durable_, change);
    return here;
  });
}

std::unique_ptr<base::FileLock> SimulatedDisk::lock(const Path& path) {
  const std::string name = key(path);
  expect_parent(name);
  if (!names_.contains(name)) change({{}, name, std::make_shared<Inode>()});
  if (!locks_.insert(name).second) return nullptr;
  return std::make_unique<DiskLock>(*this, name);
}

std::int64_t SimulatedDisk::free_bytes(const Path&) {
  return capacity_ < 0 || !admit_ ? std::numeric_limits<std::int64_t>::max() : capacity_ - used();
}

void SimulatedDisk::limit(std::int64_t bytes, bool admit) {
  capacity_ = bytes;
  admit_ = admit;
}

// Each sector by itself has seen some of the changes, in their order; the size is that after some of them.
std::string SimulatedDisk::after_power_loss(const Inode& file, Random& random, Survival survival) {
  if (file.changes.empty() || survival == Survival::everything) return file.now;
  if (survival == Survival::nothing) return file.synced;
  const auto count = static_cast<std::int64_t>(file.changes.size());
  // states[i]: after the first i changes.
  std::vector<std::string> states{file.synced};
  for (const Inode::Change& change : file.changes) {
    states.push_back(states.back());
    Inode::apply(states.back(), change);
  }
  const auto some_state = [&]() -> const std::string& {
    return states[static_cast<std::size_t>(random.between(0, count))];
  };
  if (survival == Survival::first) return some_state();
  const std::size_t sector = random.once_in(2) ? 512 : 4096;
  std::string content(some_state().size(), '\0');
  // What a sector holds that was never written: zeros, or what somebody else left there.
  const char stale = random.once_in(4) ? static_cast<char>(random.below(256)) : '\0';
  for (std::size_t at = 0; at < content.size(); at += sector) {
    const std::string& state = some_state();
    const std::size_t end = std::min(content.size(), at + sector), there = std::clamp(state.size(), at, end);
    std::copy(state.begin() + static_cast<std::ptrdiff_t>(std::min(at, state.size())),
              state.begin() + static_cast<std::ptrdiff_t>(std::min(there, state.size())),
              content.begin() + static_cast<std::ptrdiff_t>(at));
    std::fill(content.begin() + static_cast<std::ptrdiff_t>(there), content.begin() + static_cast<std::ptrdiff_t>(end),
              stale);
  }
  return content;
}

void SimulatedDisk::lose_power(Random& random) {
  const auto some = [&] { return random.once_in(2) ? Survival::any : static_cast<Survival>(random.below(4)); };
  const Survival names = some(), data = some();
  lose_power(random, names, data);
}

void SimulatedDisk::lose_power(Random& random, Survival names, Survival data) {
  const std::int64_t first = random.between(0, static_cast<std::int64_t>(pending_.size()));
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const bool survives = names == Survival::everything ||
                          (names == Survival::first && static_cast<std::int64_t>(i) < first) ||
                          (names == Survival::any && random.once_in(2));
    if (survives) apply(durable_, pending_[i]);
  }
  // What lies in a directory that is not there is not there. Parents come before their children.
  std::erase_if(durable_, [&](const auto& entry) {
    if (entry.first == "/") return false;
    const auto folder = durable_.find(parent(entry.first));
    return folder == durable_.end() || folder->second;
  });
  std::map<const Inode*, File> copies;
  for (auto& [name, file] : durable_) {
    if (!file) continue;
    File& copy = copies[file.get()];
    if (!copy) {
      copy = std::make_shared<Inode>();
      copy->now = copy->synced = after_power_loss(*file, random, data);
    }
    file = copy;
  }
  names_ = durable_;
  pending_.clear();
  locks_.clear();
}

void SimulatedDisk::damage(const Path& path, const std::string& content) {
  const File file = find(key(path), "damage");
  file->now = file->synced = content;
  file->changes.clear();
}

std::vector<std::string> SimulatedDisk::names() const {
  std::vector<std::string> found;
  for (const auto& entry : names_) found.push_back(entry.first);
  return found;
}

const std::string& SimulatedDisk::content(const Path& path) const {
  static const std::string none = "(no such file)";
  const auto found = names_.find(key(path));
  return found == names_.end() || !found->second ? none : found->second->now;
}

}  // namespace thresher::tests
