#include "base/ram_files.h"

#include <algorithm>
#include <cerrno>
#include <limits>

#include "thresher/base/check.h"

namespace thresher::tests {

using base::Exit;
using base::fail_errno;
using base::Path;

namespace {

std::string key(const Path& path) {
  return path.lexically_normal().string();
}
std::string parent(const std::string& name) {
  return Path(name).parent_path().string();
}

}  // namespace

class RamReadFile final : public base::ReadFile {
 public:
  RamReadFile(RamFiles& files, std::string name, std::shared_ptr<RamFiles::Node> node)
      : files_(files), name_(std::move(name)), node_(std::move(node)) {}
  std::int64_t size() const override { return static_cast<std::int64_t>(node_->now.size()); }
  void read_at(std::int64_t offset, std::span<std::byte> bytes) const override {
    const std::lock_guard lock(files_.mutex_);
    files_.count_read("cannot read " + name_);
    const auto end = static_cast<std::size_t>(offset) + bytes.size();
    if (end > node_->now.size()) base::fail(Exit::data, name_ + " ends early");
    std::copy_n(reinterpret_cast<const std::byte*>(node_->now.data()) + offset, bytes.size(), bytes.begin());
  }

 private:
  RamFiles& files_;
  std::string name_;
  std::shared_ptr<RamFiles::Node> node_;
};

class RamWriteFile final : public base::WriteFile {
 public:
  RamWriteFile(RamFiles& files, std::string name, std::shared_ptr<RamFiles::Node> node)
      : files_(files), name_(std::move(name)), node_(std::move(node)) {}
  void write_at(std::int64_t offset, std::span<const std::byte> bytes) override {
    const std::lock_guard lock(files_.mutex_);
    files_.operate("cannot write " + name_);
    const auto end = static_cast<std::size_t>(offset) + bytes.size();
    const std::int64_t growth = end > node_->now.size() ? static_cast<std::int64_t>(end - node_->now.size()) : 0;
    if (files_.capacity_ >= 0 && files_.used() + growth > files_.capacity_)
      fail_errno(Exit::io, "cannot write " + name_, ENOSPC);
    if (growth > 0) node_->now.resize(end, '\0');
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::byte*>(node_->now.data()) + offset);
  }
  void resize(std::int64_t bytes) override {
    const std::lock_guard lock(files_.mutex_);
    files_.operate("cannot resize " + name_);
    node_->now.resize(static_cast<std::size_t>(bytes), '\0');
  }
  void sync() override {
    const std::lock_guard lock(files_.mutex_);
    files_.operate("cannot sync " + name_);
    node_->synced = node_->now;
  }

 private:
  RamFiles& files_;
  std::string name_;
  std::shared_ptr<RamFiles::Node> node_;
};

class RamAppendFile final : public base::AppendFile {
 public:
  RamAppendFile(RamFiles& files, std::string name, std::shared_ptr<RamFiles::Node> node)
      : files_(files), name_(std::move(name)), node_(std::move(node)) {}
  void append(std::string_view text) override {
    const std::lock_guard lock(files_.mutex_);
    files_.operate("cannot write " + name_);
    node_->now += text;
  }

 private:
  RamFiles& files_;
  std::string name_;
  std::shared_ptr<RamFiles::Node> node_;
};

class RamLock final : public base::FileLock {
 public:
  RamLock(RamFiles& files, std::string name) : files_(files), name_(std::move(name)) {}
  ~RamLock() override { files_.locks_.erase(name_); }

 private:
  RamFiles& files_;
  std::string name_;
};

void RamFiles::operate(const std::string& what) {
  const std::int64_t number = operations_++;
  if (fail_at_ < 0 || number < fail_at_ || (number > fail_at_ && !from_then_on_)) return;
  fail_errno(Exit::io, what, error_);
}

void RamFiles::count_read(const std::string& what) {
  if (reads_++ == fail_read_at_) fail_errno(Exit::io, what, read_error_);
}

std::shared_ptr<RamFiles::Node> RamFiles::node(const Path& path, Exit code) {
  const auto found = names_.find(key(path));
  if (found == names_.end()) fail_errno(code, "cannot open " + path.string(), ENOENT);
  return found->second;
}

std::int64_t RamFiles::used() const {
  std::int64_t bytes = 0;
  for (const auto& [name, node] : names_) bytes += static_cast<std::int64_t>(node->now.size());
  return bytes;
}

std::unique_ptr<base::ReadFile> RamFiles::open(const Path& path, base::Links) {
  const std::lock_guard lock(mutex_);
  return std::make_unique<RamReadFile>(*this, path.string(), node(path));
}

std::unique_ptr<base::WriteFile> RamFiles::create(const Path& path) {
  const std::lock_guard lock(mutex_);
  operate("cannot create " + path.string());
  if (names_.contains(key(path))) fail_errno(Exit::cannot_create, "cannot create " + path.string(), EEXIST);
  if (!directories_.contains(parent(key(path))))
    fail_errno(Exit::cannot_create, "cannot create " + path.string(), ENOENT);
  const auto node = std::make_shared<Node>();
  names_[key(path)] = node;
  return std::make_unique<RamWriteFile>(*this, path.string(), node);
}

std::unique_ptr<base::AppendFile> RamFiles::append(const Path& path) {
  const std::lock_guard lock(mutex_);
  operate("cannot create " + path.string());
  if (!directories_.contains(parent(key(path))))
    fail_errno(Exit::cannot_create, "cannot create " + path.string(), ENOENT);
  const auto found = names_.emplace(key(path), std::make_shared<Node>()).first;
  return std::make_unique<RamAppendFile>(*this, path.string(), found->second);
}

base::Entry RamFiles::entry(const Path& path) {
  const std::lock_guard lock(mutex_);
  if (names_.contains(key(path))) return base::Entry::file;
  return directories_.contains(key(path)) ? base::Entry::directory : base::Entry::none;
}

std::vector<std::string> RamFiles::list(const Path& directory) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> found;
  for (const auto& [name, node] : names_) {
    if (parent(name) == key(directory)) found.push_back(Path(name).filename().string());
  }
  for (const std::string& name : directories_) {
    if (name != "/" && !name.empty() && parent(name) == key(directory)) found.push_back(Path(name).filename().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void RamFiles::make_directories(const Path& directory) {
  const std::lock_guard lock(mutex_);
  operate("cannot create directory " + directory.string());
  for (std::string name = key(directory); !directories_.contains(name); name = parent(name)) directories_.insert(name);
}

bool RamFiles::link(const Path& from, const Path& to) {
  const std::lock_guard lock(mutex_);
  operate("cannot link " + from.string() + " to " + to.string());
  return names_.emplace(key(to), node(from, Exit::io)).second;
}

void RamFiles::rename(const Path& from, const Path& to) {
  const std::lock_guard lock(mutex_);
  operate("cannot rename " + from.string() + " to " + to.string());
  const auto file = node(from, Exit::io);
  if (const auto there = names_.find(key(to)); there != names_.end() && there->second == file) return;
  names_.erase(key(from));
  names_[key(to)] = file;
}

void RamFiles::remove(const Path& path) {
  const std::lock_guard lock(mutex_);
  operate("cannot remove " + path.string());
  names_.erase(key(path));
}

void RamFiles::remove_tree(const Path& path) {
  const std::lock_guard lock(mutex_);
  operate("cannot remove " + path.string());
  const std::string below = key(path) + "/";
  std::erase_if(names_, [&](const auto& entry) { return entry.first == key(path) || entry.first.starts_with(below); });
  std::erase_if(directories_, [&](const auto& name) { return name == key(path) || name.starts_with(below); });
}

void RamFiles::sync_directory(const Path& directory) {
  const std::lock_guard lock(mutex_);
  operate("cannot sync directory " + directory.string());
  const auto within = [&](const auto& entry) { return parent(entry.first) == key(directory); };
  std::erase_if(synced_names_, within);
  for (const auto& entry : names_) {
    if (within(entry)) synced_names_.insert(entry);
  }
}

std::unique_ptr<base::FileLock> RamFiles::lock(const Path& path) {
  const std::lock_guard guard(mutex_);
  operate("cannot lock " + path.string());
  if (!locks_.insert(key(path)).second) return nullptr;
  names_.emplace(key(path), std::make_shared<Node>());
  return std::make_unique<RamLock>(*this, key(path));
}

std::int64_t RamFiles::free_bytes(const Path&) {
  const std::lock_guard lock(mutex_);
  return capacity_ < 0 || !admit_ ? std::numeric_limits<std::int64_t>::max() : capacity_ - used();
}

void RamFiles::fail_at(std::int64_t operation, int error, bool from_then_on) {
  operations_ = 0;
  fail_at_ = operation;
  error_ = error;
  from_then_on_ = from_then_on;
}

void RamFiles::fail_read_at(std::int64_t read, int error) {
  reads_ = 0;
  fail_read_at_ = read;
  read_error_ = error;
}

void RamFiles::heal() {
  operations_ = reads_ = 0;
  fail_at_ = fail_read_at_ = capacity_ = -1;
}

void RamFiles::limit(std::int64_t bytes, bool admit) {
  capacity_ = bytes;
  admit_ = admit;
}

void RamFiles::lose_power() {
  const std::lock_guard lock(mutex_);
  names_ = synced_names_;
  for (const auto& [name, node] : names_) node->now = node->synced;
}

std::string RamFiles::content(const Path& path) const {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(key(path));
  return found == names_.end() ? "(no such file)" : found->second->now;
}

void RamFiles::put(const Path& path, std::string content) {
  const std::lock_guard lock(mutex_);
  const auto node = std::make_shared<Node>(Node{content, content});
  names_[key(path)] = synced_names_[key(path)] = node;
  directories_.insert(parent(key(path)));
}

std::vector<std::string> RamFiles::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> found;
  for (const auto& [name, node] : names_) found.push_back(name);
  return found;
}

}  // namespace thresher::tests
