// A text file that appears whole or not at all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "thresher/base/file.h"

namespace thresher::store {

class TextFile {
 public:
  TextFile(base::FileSystem& files, base::Path path);
  ~TextFile();  // removes what was written unless `publish` was called
  TextFile(const TextFile&) = delete;

  void append(std::string_view text);
  // Syncs, renames to `path`, syncs the directory.
  void publish();

 private:
  void flush();

  base::FileSystem& files_;
  base::Path path_, temporary_;
  std::unique_ptr<base::WriteFile> file_;
  std::int64_t written_ = 0;
  std::string pending_;
};

}  // namespace thresher::store
