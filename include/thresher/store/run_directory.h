// The directory of one job: plan.json, parts, results. The format is described in data/README.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/store/document.h"
#include "thresher/store/result.h"

namespace thresher::store {

// Everything that changes the bytes of the results, as named values ("model", "dtype", "window", ...).
struct Plan {
  std::map<std::string, std::string> values;
  std::vector<std::int64_t> shards;  // first document of each shard, and the number of documents at the end

  std::int64_t shard_count() const { return static_cast<std::int64_t>(shards.size()) - 1; }
};

// Corpus totals, summed over shards in shard order whatever the job's layout was.
struct Totals {
  std::int64_t documents = 0;
  std::int64_t by_status[5] = {};                 // by Status
  std::int64_t tokens = 0, bytes = 0, words = 0;  // of documents with a score
  double logprob = 0;
  std::int64_t pairs_greedy = 0;
};

// One writer at a time: holds the directory's lock while it lives.
class RunDirectory {
 public:
  // Creates the directory if needed. Throws base::Error: cannot_create (not writable, or not empty and not ours),
  // again (another process holds the lock).
  RunDirectory(base::FileSystem& files, base::Path directory);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;

  const base::Path& path() const { return directory_; }

  // Deletes everything an earlier job wrote here (ours only); used for --fresh.
  void clear();

  // Writes plan.json on the first run; afterwards compares. Throws base::Error (config) naming every value that differs
  // and the two ways out (another directory, --fresh).
  void settle(const Plan& plan);

  // Lists the committed parts and checks each trailer and digest against the plan, removes attempts left over by dead
  // processes and damaged parts (logged; they are scored again). Element s tells whether shard s is committed.
  std::vector<bool> committed(const Plan& plan);

  // Commits parts, as shard and bytes: temporary names, sync, link, one sync of parts/. They are durable when this
  // returns; several at once cost little more than one. If a shard is already committed: equal bytes are fine,
  // different ones throw base::Error (internal) naming both. May be called from several threads.
  using Part = std::pair<std::int64_t, std::string_view>;
  void commit(std::span<const Part> parts);
  void commit(std::int64_t shard, std::string_view part);

  // Checks every part against the plan and writes results.h5 (documents in order), then rejects.jsonl. Idempotent.
  // Removes neither parts nor anything else.
  Totals publish(const Plan& plan, const Columns& columns, Source& corpus);

  // Small files by name ("summary.json"), replaced atomically.
  void write(const std::string& name, std::string_view content);
  // The last step: `_SUCCESS` with the given content.
  void succeed(std::string_view content);
  bool succeeded();

 private:
  void clear_parts();
  void settle_part(const base::Path& temporary, const Part& part);

  base::FileSystem& files_;
  base::Path directory_;
  std::unique_ptr<base::FileLock> lock_;
};

}  // namespace thresher::store
