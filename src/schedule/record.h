// Rank zero's side of a job on disk: what is there before it, and what is there after it.
#pragma once

#include <string_view>
#include <vector>

#include "thresher/store/run_directory.h"

namespace thresher::schedule {

// Holds the run directory's lock while it lives.
class JobRecord {
 public:
  // Throws what RunDirectory throws. `fresh`: deletes what an earlier job left.
  JobRecord(base::FileSystem& files, const base::Path& output, bool fresh, store::Codec& codec = store::hdf5_codec());

  store::RunDirectory& directory() { return directory_; }

  // The GPU's algorithms of an earlier start of this job, or none.
  std::string algorithms();

  // Writes plan.json or compares it, and keeps the algorithms where there are any. Element s of the answer tells
  // whether shard s is committed already.
  const std::vector<bool>& settle(const store::Plan& plan, const std::string& algorithms = {});
  const std::vector<bool>& committed() const { return committed_; }

  // results.h5, with these attributes besides its own, and rejects.jsonl, from the parts of all shards.
  store::Totals publish(const store::Columns& columns, store::Source& corpus,
                        const store::RunDirectory::Attributes& attributes = {});
  // Then summary.json, run.json and last _SUCCESS.
  void succeed(std::string_view summary, std::string_view run);
  // True if the job had ended before: nothing was left to do.
  bool was_complete() const { return was_complete_; }

 private:
  std::string sealed(const std::string& algorithms) const;
  void keep(const std::string& algorithms);

  store::RunDirectory directory_;
  store::Plan plan_;
  std::string kept_;  // algorithms.txt of an earlier start
  std::vector<bool> committed_;
  bool was_complete_ = false;
};

}  // namespace thresher::schedule
