// The directory of one job: plan.json, parts, results. The format is described in data/README.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/store/document.h"
#include "thresher/store/part_writer.h"
#include "thresher/store/plan.h"
#include "thresher/store/result.h"

namespace thresher::store {

// Corpus totals, summed over shards in shard order whatever the job's layout was.
struct Totals {
  std::int64_t documents = 0;
  std::int64_t by_status[5] = {};                 // by Status
  std::int64_t tokens = 0, bytes = 0, words = 0;  // of documents with a score
  double logprob = 0;
  std::int64_t pairs_greedy = 0;
};

// Bytes to rows and back; HDF5's, unless a test puts another one in its place.
class Codec;
Codec& hdf5_codec();

// One writer at a time: holds the directory's lock while it lives.
class RunDirectory {
 public:
  // Creates the directory if needed. Throws base::Error: cannot_create (not writable, or not empty and not ours),
  // again (another process holds the lock).
  RunDirectory(base::FileSystem& files, base::Path directory, Codec& codec = hdf5_codec());
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;

  const base::Path& path() const { return directory_; }

  // Deletes everything an earlier job wrote here (ours only); used for --fresh.
  void clear();

  // Writes plan.json on the first run; afterwards compares. Throws base::Error (config) naming every value that differs
  // and the two ways out (another directory, --fresh).
  void settle(const Plan& plan);

  // Lists the committed parts and checks each trailer and digest against the plan, removes attempts left over by dead
  // processes and damaged parts (logged; they are scored again), and `_SUCCESS` where one is missing. Element s tells
  // whether shard s is committed. To be called before any PartWriter is made: it cannot tell a writer at work from a
  // dead one. (A process of an earlier job that still writes, on a machine that was cut off, fails at its next commit
  // because its file has gone.)
  std::vector<bool> committed(const Plan& plan);

  // As PartWriter's.
  using Part = PartWriter::Part;
  void commit(std::span<const Part> parts) { writer_.commit(parts); }
  void commit(std::int64_t shard, std::string_view part);

  // Checks every part against the plan and writes results.h5, then rejects.jsonl: all rows in document order, or, when
  // the plan is sharded, virtual datasets over the parts and the table that readers check them by. Idempotent. Removes
  // neither parts nor anything else. Holds one part in memory at a time. `attributes` of results.h5, by name, besides
  // its own.
  using Attributes = std::vector<std::pair<std::string, std::string>>;
  Totals publish(const Plan& plan, const Columns& columns, Source& corpus, const Attributes& attributes = {});

  // Small files by name ("summary.json"), replaced atomically.
  void write(const std::string& name, std::string_view content);
  // Whether an earlier start of this job came as far as its plan.
  bool planned();
  // Such a file of an earlier start of this job; empty where there was none. Throws base::Error: data (longer than
  // `limit`, or a link), io.
  std::string kept(const std::string& name, std::int64_t limit);
  // The last step: `_SUCCESS` with the given content.
  void succeed(std::string_view content);
  bool succeeded();

 private:
  void clear_parts();

  base::FileSystem& files_;
  base::Path directory_;
  Codec& codec_;
  PartWriter writer_;
  std::unique_ptr<base::FileLock> lock_;
};

}  // namespace thresher::store
