// Commits parts into a run directory, from any number of processes at once.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "thresher/base/file.h"
#include "thresher/store/plan.h"

namespace thresher::store {

// Takes no lock: the RunDirectory of the process that leads the job holds it, and has written plan.json and called
// `committed` (which removes temporary files, also those of a writer at work) before any PartWriter is made.
class PartWriter {
 public:
  // Throws base::Error: config when `directory`, as this machine sees it, does not hold the plan.json of `plan` (on
  // every machine it has to be the same directory of a shared file system); cannot_create.
  PartWriter(base::FileSystem& files, const base::Path& directory, const Plan& plan);

  // Commits parts, as shard and bytes: temporary names, sync, link, one sync of parts/. They are durable when this
  // returns; several at once cost little more than one. If a shard is already committed, by whichever process: equal
  // bytes are fine, different ones throw base::Error naming both: internal, or again for a part of another job, which
  // RunDirectory::committed removes. May be called from several threads.
  using Part = std::pair<std::int64_t, std::string_view>;
  void commit(std::span<const Part> parts);

 private:
  friend class RunDirectory;
  // Of the process that holds the lock.
  PartWriter(base::FileSystem& files, const base::Path& directory) : files_(files), parts_(directory / "parts") {}
  void settle(const base::Path& temporary, const Part& part);

  base::FileSystem& files_;
  base::Path parts_;
};

}  // namespace thresher::store
