#include "base/faulty_files.h"

#include <exception>
#include <utility>

#include "thresher/base/check.h"

namespace thresher::tests {

using base::Exit;
using base::Path;

namespace {

Exit otherwise(Operation operation) {
  switch (operation) {
    case Operation::open:
    case Operation::entry:
    case Operation::list:
      return Exit::no_input;
    case Operation::create:
    case Operation::make_directories:
    case Operation::lock:
      return Exit::cannot_create;
    default:
      return Exit::io;
  }
}

[[noreturn]] void refuse(const Fault& fault, Operation operation, const Path& path) {
  base::fail_errno(base::exit_of(fault.error, otherwise(operation)),
                   std::string("cannot ") + name_of(operation) + " " + path.string(), fault.error);
}

}  // namespace

const char* name_of(Operation operation) {
  constexpr std::array<const char*, operation_count> names{
      "open", "read",   "look at", "list",           "create", "write", "resize", "sync", "write", "create directory",
      "link", "rename", "remove",  "sync directory", "lock"};
  return names[static_cast<std::size_t>(operation)];
}

class FaultyReadFile final : public base::ReadFile {
 public:
  FaultyReadFile(FaultyFiles& files, Path path, std::unique_ptr<base::ReadFile> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}
  std::int64_t size() const override { return file_->size(); }
  void read_at(std::int64_t offset, std::span<std::byte> bytes) const override;

 private:
  FaultyFiles& files_;
  Path path_;
  std::unique_ptr<base::ReadFile> file_;
};

class FaultyWriteFile final : public base::WriteFile {
 public:
  FaultyWriteFile(FaultyFiles& files, Path path, std::unique_ptr<base::WriteFile> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}
  void write_at(std::int64_t offset, std::span<const std::byte> bytes) override;
  void resize(std::int64_t bytes) override;
  void sync() override;

 private:
  FaultyFiles& files_;
  Path path_;
  std::unique_ptr<base::WriteFile> file_;
};

class FaultyAppendFile final : public base::AppendFile {
 public:
  FaultyAppendFile(FaultyFiles& files, Path path, std::unique_ptr<base::AppendFile> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}
  void append(std::string_view text) override;

 private:
  FaultyFiles& files_;
  Path path_;
  std::unique_ptr<base::AppendFile> file_;
};

FaultyFiles::FaultyFiles(base::FileSystem& below, std::string process) : below_(below), process_(std::move(process)) {}

FaultyFiles::~FaultyFiles() = default;

void FaultyFiles::inject(const Fault& fault) {
  armed_.push_back({fault, fault.at});
}

void FaultyFiles::heal() {
  armed_.clear();
}

void FaultyFiles::before(std::int64_t call, std::function<void()> work) {
  until_work_ = call;
  work_ = std::move(work);
}

const Fault* FaultyFiles::count(Operation operation) {
  if (dead_) throw Crash{};
  if (work_ && until_work_-- == 0) std::exchange(work_, {})();
  if (dead_) throw Crash{};
  ++calls_[static_cast<std::size_t>(operation)];
  changes_ += changes_disk(operation);
  const Fault* striking = nullptr;
  for (Armed& armed : armed_) {
    if (armed.fault.operation ? *armed.fault.operation != operation : !changes_disk(operation)) continue;
    const bool strikes = armed.left == 0 || (armed.left < 0 && armed.fault.from_then_on);
    if (armed.left >= 0) --armed.left;
    if (strikes && !striking) striking = &armed.fault;
  }
  if (!striking) return nullptr;
  struck_ = true;
  dead_ = striking->kind == Fault::Kind::crash;
  return striking;
}

template <class Work>
auto FaultyFiles::call(Operation operation, const Path& path, const Work& work) {
  const Fault* fault = count(operation);
  if (!fault) return work(1.0);
  const bool writes = operation == Operation::write || operation == Operation::append;
  if (writes && (fault->kind == Fault::Kind::short_write || fault->kind == Fault::Kind::crash)) work(fault->share);
  if (fault->kind == Fault::Kind::crash) throw Crash{};
  if (fault->kind == Fault::Kind::late_error) work(1.0);
  refuse(*fault, operation, path);
}

void FaultyReadFile::read_at(std::int64_t offset, std::span<std::byte> bytes) const {
  files_.call(Operation::read, path_, [&](double) { file_->read_at(offset, bytes); });
}

void FaultyWriteFile::write_at(std::int64_t offset, std::span<const std::byte> bytes) {
  files_.call(Operation::write, path_, [&](double share) {
    file_->write_at(offset, bytes.first(static_cast<std::size_t>(share * static_cast<double>(bytes.size()))));
  });
}

void FaultyWriteFile::resize(std::int64_t bytes) {
  files_.call(Operation::resize, path_, [&](double) { file_->resize(bytes); });
}

void FaultyWriteFile::sync() {
  files_.call(Operation::sync, path_, [&](double) { file_->sync(); });
}

void FaultyAppendFile::append(std::string_view text) {
  files_.call(Operation::append, path_, [&](double share) {
    file_->append(text.substr(0, static_cast<std::size_t>(share * static_cast<double>(text.size()))));
  });
}

std::unique_ptr<base::ReadFile> FaultyFiles::open(const Path& path, base::Links links) {
  return call(Operation::open, path,
              [&](double) { return std::make_unique<FaultyReadFile>(*this, path, below_.open(path, links)); });
}

std::unique_ptr<base::WriteFile> FaultyFiles::create(const Path& path) {
  return call(Operation::create, path,
              [&](double) { return std::make_unique<FaultyWriteFile>(*this, path, below_.create(path)); });
}

std::unique_ptr<base::AppendFile> FaultyFiles::append(const Path& path) {
  return call(Operation::create, path,
              [&](double) { return std::make_unique<FaultyAppendFile>(*this, path, below_.append(path)); });
}

base::Entry FaultyFiles::entry(const Path& path) {
  return call(Operation::entry, path, [&](double) { return below_.entry(path); });
}

std::vector<std::string> FaultyFiles::list(const Path& directory) {
  return call(Operation::list, directory, [&](double) { return below_.list(directory); });
}

void FaultyFiles::make_directories(const Path& directory) {
  call(Operation::make_directories, directory, [&](double) { below_.make_directories(directory); });
}

bool FaultyFiles::link(const Path& from, const Path& to) {
  return call(Operation::link, to, [&](double) { return below_.link(from, to); });
}

void FaultyFiles::rename(const Path& from, const Path& to) {
  call(Operation::rename, to, [&](double) { below_.rename(from, to); });
}

void FaultyFiles::remove(const Path& path) {
  if (dead_) return;
  const bool handling = std::uncaught_exceptions() > 0 || std::current_exception();
  try {
    call(Operation::remove, path, [&](double) { below_.remove(path); });
  } catch (const Crash&) {
    // Where an error is being handled, no other exception may get out: the process dies at its next call.
    if (!handling) throw;
  }
}

void FaultyFiles::remove_tree(const Path& path) {
  call(Operation::remove, path, [&](double) { below_.remove_tree(path); });
}

void FaultyFiles::sync_directory(const Path& directory) {
  call(Operation::sync_directory, directory, [&](double) { below_.sync_directory(directory); });
}

std::unique_ptr<base::FileLock> FaultyFiles::lock(const Path& path) {
  return call(Operation::lock, path, [&](double) { return below_.lock(path); });
}

std::int64_t FaultyFiles::free_bytes(const Path& path) {
  if (dead_) throw Crash{};
  return below_.free_bytes(path);
}

Path FaultyFiles::temporary_name(const Path& path) {
  if (process_.empty()) return below_.temporary_name(path);
  return path.parent_path() /
         ("." + path.filename().string() + "." + process_ + "." + std::to_string(attempts_++) + ".tmp");
}

}  // namespace thresher::tests
