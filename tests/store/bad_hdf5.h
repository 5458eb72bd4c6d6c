// Corpora made with the plain C library, good and bad.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <string>
#include <vector>

#include "thresher/base/file.h"

namespace thresher::tests {

// Three documents, "one", "two" and "three", one step at a time.
class CorpusMaker {
 public:
  explicit CorpusMaker(const base::Path& path);
  ~CorpusMaker();
  CorpusMaker(const CorpusMaker&) = delete;

  hid_t file() const { return file_; }
  void offsets(const std::vector<std::int64_t>& values = {0, 3, 6, 11});
  void text(const std::string& bytes = "onetwothree");
  // A dataset of `size` elements with the given creation properties; `data` may be null.
  void dataset(const std::string& name, hid_t type, const std::vector<hsize_t>& sizes, const void* data,
               hid_t properties = H5P_DEFAULT);
  void attribute(const std::string& name, const std::string& value);
  void attribute(const std::string& name, std::int64_t value);

 private:
  hid_t file_, intermediate_;
};

}  // namespace thresher::tests
