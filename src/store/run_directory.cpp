#include "thresher/store/run_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "store/part_file.h"
#include "store/plan_file.h"
#include "thresher/base/check.h"
#include "thresher/base/log.h"

namespace thresher::store {
namespace {

using base::Entry;
using base::Exit;
using base::fail;
using base::Links;

constexpr std::string_view marker = ".thresher";
// What a job leaves in the top folder, in the order in which --fresh may remove it: the plan goes last, so that parts
// never meet another plan than their own.
constexpr std::array<std::string_view, 7> leftovers{"_SUCCESS", "results.h5",  "rejects.jsonl", "summary.json",
                                                    "run.json", "status.json", "algorithms.txt"};

bool is_temporary(std::string_view name) {
  return name.starts_with(".") && name.ends_with(".tmp");
}

bool holds_plan(base::FileSystem& files, const base::Path& path) {
  if (files.entry(path) != Entry::file) return false;
  try {
    parse_plan(base::read_all(files, path, plan_file_limit, Links::refuse), path.string());
    return true;
  } catch (const base::Error&) {
    return false;
  }
}

void refuse_foreign(base::FileSystem& files, const base::Path& directory) {
  const std::vector<std::string> names = files.list(directory);
  if (std::find(names.begin(), names.end(), marker) != names.end()) return;
  const auto stranger = std::find_if(names.begin(), names.end(), [](const std::string& name) {
    return name != "lock" && !name.starts_with("..thresher.");
  });
  if (stranger == names.end() || holds_plan(files, directory / "plan.json")) return;
  fail(Exit::cannot_create,
       fmt::format("{} is not a run directory but holds {} ({} names in all): give an empty or new one",
                   directory.string(), *stranger, names.size()));
}

// A new directory is durable when the one it lies in is synced, all the way up; which of them are new cannot be told
// after a process was killed here. Those that may not be read are not the user's, and older.
void sync_ancestors(base::FileSystem& files, const base::Path& directory) {
  for (base::Path below = directory; below.has_parent_path() && below.has_relative_path();
       below = below.parent_path()) {
    try {
      files.sync_directory(below.parent_path());
    } catch (const base::Error& error) {
      if (error.code() != Exit::permission) throw;
    }
  }
}

}  // namespace

RunDirectory::RunDirectory(base::FileSystem& files, base::Path directory, Codec& codec)
    : files_(files), directory_(std::move(directory)), codec_(codec), writer_(files_, directory_) {
  files_.make_directories(directory_);
  refuse_foreign(files_, directory_);
  lock_ = files_.lock(directory_ / "lock");
  if (!lock_) {
    fail(Exit::again,
         directory_.string() + ": another process is working here; wait for it, or give another directory");
  }
  if (!files_.exists(directory_ / marker))
    base::write_atomically(files_, directory_ / marker, "A run directory of Thresher.\n");
  else
    files_.sync_directory(directory_);  // whoever made the marker may have died before this; it goes first
  if (const Entry parts = files_.entry(directory_ / "parts"); parts != Entry::none && parts != Entry::directory) {
    fail(Exit::cannot_create, (directory_ / "parts").string() + " is not a directory: remove it");
  }
  files_.make_directories(directory_ / "parts");
  files_.sync_directory(directory_);
  sync_ancestors(files_, directory_);
}

RunDirectory::~RunDirectory() = default;

void RunDirectory::clear() {
  for (const std::string_view name : leftovers) files_.remove(directory_ / name);
  clear_parts();
  const base::Path logs = directory_ / "logs";
  if (files_.entry(logs) == Entry::directory) {
    for (const std::string& name : files_.list(logs)) {
      if (name.ends_with(".log") && files_.entry(logs / name) == Entry::file) files_.remove(logs / name);
    }
  }
  for (const std::string& name : files_.list(directory_)) {
    if (is_temporary(name)) files_.remove(directory_ / name);
  }
  files_.sync_directory(directory_);
  files_.remove(directory_ / "plan.json");
  files_.sync_directory(directory_);
}

void RunDirectory::clear_parts() {
  const base::Path parts = directory_ / "parts";
  for (const std::string& name : files_.list(parts)) {
    if (is_temporary(name) || shard_of(name)) files_.remove(parts / name);
  }
  files_.sync_directory(parts);
}

void RunDirectory::settle(const Plan& plan) {
  const base::Path path = directory_ / "plan.json";
  if (!files_.exists(path)) {
    clear_parts();  // whose plan is gone
    base::write_atomically(files_, path, format_plan(plan));
    return;
  }
  const Plan there = parse_plan(base::read_all(files_, path, plan_file_limit, Links::refuse), path.string());
  if (const std::string lines = differences(there, plan); !lines.empty()) {
    fail(Exit::config,
         fmt::format(
             "{} belongs to another job:{}\nGive another --output, or --fresh to delete what is there and start anew",
             directory_.string(), lines));
  }
}

std::vector<bool> RunDirectory::committed(const Plan& plan) {
  std::vector<bool> done(static_cast<std::size_t>(plan.shard_count()), false);
  const base::Path parts = directory_ / "parts";
  const PartReader reader(files_, parts, plan, codec_);
  for (const std::string& name : files_.list(parts)) {
    if (is_temporary(name)) files_.remove(parts / name);
    const std::optional<std::int64_t> shard = shard_of(name);
    if (!shard) continue;
    try {
      reader.read(*shard);
      done[static_cast<std::size_t>(*shard)] = true;
    } catch (const base::Error& error) {
      if (error.code() != Exit::data) throw;
      base::warn(fmt::format("{}; its documents are scored again", error.what()));
      files_.remove(parts / name);
    }
  }
  for (const std::string& name : files_.list(directory_)) {
    if (is_temporary(name)) files_.remove(directory_ / name);
  }
  files_.sync_directory(parts);
  if (std::find(done.begin(), done.end(), false) != done.end() && succeeded()) {
    files_.remove(directory_ / "_SUCCESS");
    files_.sync_directory(directory_);
  }
  return done;
}

void RunDirectory::commit(std::int64_t shard, std::string_view part) {
  const Part one(shard, part);
  commit(std::span(&one, 1));
}

void RunDirectory::write(const std::string& name, std::string_view content) {
  if (name.empty() || name.find('/') != std::string::npos) fail(Exit::internal, name + " is not a plain file name");
  base::write_atomically(files_, directory_ / name, content);
}

bool RunDirectory::planned() {
  return files_.exists(directory_ / "plan.json");
}

std::string RunDirectory::kept(const std::string& name, std::int64_t limit) {
  const base::Path path = directory_ / name;
  if (!planned() || files_.entry(path) == Entry::none) return "";
  return base::read_all(files_, path, limit, Links::refuse);
}

void RunDirectory::succeed(std::string_view content) {
  write("_SUCCESS", content);
}

bool RunDirectory::succeeded() {
  return files_.entry(directory_ / "_SUCCESS") == Entry::file;
}

}  // namespace thresher::store
