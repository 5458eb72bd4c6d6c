// Files written front to back.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "thresher/base/file.h"

namespace thresher::store {

// A new file, written in large blocks.
class Appender {
 public:
  Appender(base::FileSystem& files, const base::Path& path) : file_(files.create(path)) {}

  void append(std::string_view bytes);
  template <class T>
  void append(std::span<const T> values) {
    append(std::string_view(reinterpret_cast<const char*>(values.data()), values.size_bytes()));
  }
  void flush();
  void sync() { file_->sync(); }

 private:
  std::unique_ptr<base::WriteFile> file_;
  std::int64_t written_ = 0;
  std::string pending_;
};

// A text file that appears whole or not at all.
class TextFile {
 public:
  TextFile(base::FileSystem& files, base::Path path);
  ~TextFile();  // removes what was written unless `publish` was called
  TextFile(const TextFile&) = delete;

  void append(std::string_view text) { file_->append(text); }
  // Syncs, renames to `path`, syncs the directory.
  void publish();

 private:
  base::FileSystem& files_;
  base::Path path_, temporary_;
  std::unique_ptr<Appender> file_;
};

}  // namespace thresher::store
