// A folder for a test's files, a corpus to read and rows to write.
#pragma once

#include <string>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/base/file.h"
#include "thresher/store/document.h"
#include "thresher/store/result.h"
#include "thresher/store/run_directory.h"

namespace thresher::tests {

// Exists while the object lives.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  base::Path operator/(const std::string& name) const { return path_ / name; }
  const base::Path& path() const { return path_; }
  // Writes a file in it and returns its path.
  base::Path put(const std::string& name, std::string_view content) const;

 private:
  base::Path path_;
};

// Documents "document 0" ... with ids "id-0" ...
class SmallCorpus final : public store::Source {
 public:
  explicit SmallCorpus(std::int64_t documents);
  const store::CorpusInfo& info() const override { return info_; }
  store::Documents read(std::int64_t first, std::int64_t count) override;
  std::vector<std::string> ids(std::int64_t first, std::int64_t count) override;
  std::vector<std::uint64_t> offsets(std::int64_t first, std::int64_t count) override;
  base::Digest digest() override { return base::digest_of("small"); }

 private:
  store::CorpusInfo info_;
};

// Shards of `size` documents.
store::Plan small_plan(std::int64_t documents, std::int64_t size);

// Rows of one shard of the plan: document d has d % 4 scored tokens and the log-probability -d / 8, and every fifth is
// rejected. The same each time.
store::Rows small_rows(const store::Plan& plan, std::int64_t shard, const store::Columns& columns);

// A finished run of the small corpus in `directory`: every part committed and published. Gives the totals.
store::Totals small_run(base::FileSystem& files, const base::Path& directory, const store::Plan& plan,
                        const store::Columns& columns);

// The plan with "output_mode" sharded.
store::Plan sharded(store::Plan plan);

// Puts the digest of sharded results behind HDF5 data that the library has changed, and so cut off.
void seal(const base::Path& results);

// True if the error has this code and its message holds every one of the words; else prints what it is.
bool says(const base::Error& error, base::Exit code, const std::vector<std::string>& words);

}  // namespace thresher::tests
