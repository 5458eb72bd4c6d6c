#include "thresher/store/part_writer.h"

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "store/hdf5_read.h"
#include "store/part_file.h"
#include "store/plan_file.h"
#include "thresher/base/check.h"
#include "thresher/base/machine.h"

namespace thresher::store {

using base::Exit;
using base::fail;
using base::Links;

namespace {

// Another part has the name already.
[[noreturn]] void refuse(std::string_view there, const PartWriter::Part& part, const std::string& name) {
  const PartInfo found = check_part(there, name);
  const auto job_of = [&](std::string_view bytes) {
    return hdf5::InputFile(image_of(bytes), name).text_attribute("job").value_or("unknown");
  };
  if (const std::string theirs = job_of(there), ours = job_of(part.second); theirs != ours) {
    fail(Exit::again, fmt::format("{} is of another job ({}, this one is {}), a process of which has written it since "
                                  "this one began: end it, and run the same command again",
                                  name, theirs, ours));
  }
  fail(Exit::internal,
       fmt::format("shard {} was scored twice with different results: {} has digest {}, the new part {}; the two runs "
                   "differ in the program or the machine's kind",
                   part.first, name, found.digest.hex(), check_part(part.second, name).digest.hex()));
}

}  // namespace

PartWriter::PartWriter(base::FileSystem& files, const base::Path& directory, const Plan& plan)
    : PartWriter(files, directory) {
  const base::Path path = directory / "plan.json";
  const std::string advice =
      "with --output-mode sharded the run directory has to be on a file system that all ranks "
      "share; move it there, or use --output-mode gather";
  if (!files_.exists(path))
    fail(Exit::config, fmt::format("{} is not there on {}: {}", path.string(), base::host_name(), advice));
  const Plan there = parse_plan(base::read_all(files_, path, plan_file_limit, Links::refuse), path.string());
  if (const std::string lines = differences(there, plan); !lines.empty()) {
    fail(Exit::config,
         fmt::format("{} belongs to another job on {}:{}\n{}", path.string(), base::host_name(), lines, advice));
  }
  if (files_.entry(parts_) != base::Entry::directory)
    fail(Exit::cannot_create, fmt::format("{} is not a directory on {}", parts_.string(), base::host_name()));
}

void PartWriter::commit(std::span<const Part> parts) {
  std::vector<base::Path> temporaries;
  try {
    std::vector<std::unique_ptr<base::WriteFile>> open;
    for (const auto& [shard, part] : parts) {
      const base::Path path = parts_ / part_name(shard);
      const PartInfo info = read_trailer(part, static_cast<std::int64_t>(part.size()), path.string());
      if (info.shard != shard)
        fail(Exit::internal, fmt::format("{}: the part is of shard {}", path.string(), info.shard));
      temporaries.push_back(files_.temporary_name(path));
      open.push_back(files_.create(temporaries.back()));
      open.back()->write_at(0, std::as_bytes(std::span(part)));
    }
    // All are written before the first sync, which brings the file system's journal along for the others.
    for (const auto& file : open) file->sync();
    for (std::size_t i = 0; i < parts.size(); ++i) settle(temporaries[i], parts[i]);
  } catch (...) {
    for (const base::Path& temporary : temporaries) base::remove_quietly(files_, temporary);
    throw;
  }
  files_.sync_directory(parts_);
}

// Gives a synced part its name.
void PartWriter::settle(const base::Path& temporary, const Part& part) {
  const base::Path path = parts_ / part_name(part.first);
  if (!files_.link(temporary, path)) {
    const std::string there = base::read_all(files_, path, part_file_limit, Links::refuse);
    if (there != part.second) refuse(there, part, path.string());
  }
  files_.remove(temporary);
}

}  // namespace thresher::store
