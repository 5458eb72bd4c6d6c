// A new directory that is gone with its owner.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "thresher/base/check.h"
#include "thresher/base/file.h"

namespace thresher::app {

class TemporaryDirectory {
 public:
  // Throws base::Error (cannot_create).
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "thresher-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) base::fail_errno(base::Exit::cannot_create, "creating " + name, errno);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const base::Path& path() const { return path_; }

 private:
  base::Path path_;
};

}  // namespace thresher::app
