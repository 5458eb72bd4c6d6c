#include "thresher/store/run_count.h"

#include <optional>

#include "store/part_file.h"
#include "store/plan_file.h"
#include "thresher/base/check.h"

namespace thresher::store {

RunCount count_run(base::FileSystem& files, const base::Path& directory) {
  using base::Entry;
  if (files.entry(directory / ".thresher") == Entry::none && files.entry(directory / "plan.json") == Entry::none)
    base::fail(base::Exit::no_input, directory.string() + " is not a run directory of thresher");
  RunCount count;
  count.finished = files.entry(directory / "_SUCCESS") == Entry::file;
  const base::Path path = directory / "plan.json";
  if (files.entry(path) != Entry::file) return count;
  const Plan plan = parse_plan(base::read_all(files, path, plan_file_limit, base::Links::refuse), path.string());
  count.planned = true;
  count.shards = plan.shard_count();
  count.documents = plan.shards.back();
  if (files.entry(directory / "parts") != Entry::directory) return count;
  for (const std::string& name : files.list(directory / "parts")) {
    const std::optional<std::int64_t> shard = shard_of(name);
    if (!shard || *shard >= count.shards) continue;
    ++count.parts;
    const auto at = static_cast<std::size_t>(*shard);
    count.documents_done += plan.shards[at + 1] - plan.shards[at];
  }
  return count;
}

}  // namespace thresher::store
