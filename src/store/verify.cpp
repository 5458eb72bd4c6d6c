#include "thresher/store/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "store/master.h"
#include "store/part_file.h"
#include "store/plan_file.h"
#include "store/results.h"
#include "store/row_check.h"
#include "store/summary_file.h"
#include "store/tally.h"
#include "thresher/base/check.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;
using base::Links;

// One run directory, looked through once.
class Verifier {
 public:
  Verifier(base::FileSystem& files, const base::Path& directory, std::size_t most_faults)
      : files_(files), directory_(directory), most_(most_faults) {}

  Verification run();

 private:
  // Runs a check; what it throws about the data is a fault.
  template <class Check>
  void attempt(const Check& check) {
    try {
      check();
    } catch (const base::Error& error) {
      if (error.code() != Exit::data && error.code() != Exit::no_input && error.code() != Exit::permission) throw;
      add_fault(error.what());
    }
  }
  void add_fault(const std::string& text) {
    if (found_.faults.size() < most_) found_.faults.push_back(text);
    ++found_.fault_count;
  }
  // True if all parts before this one could be read.
  bool nothing_skipped(const Rows& rows) const { return found_.totals.documents == rows.first; }
  std::string path_text(const std::string& name) const { return (directory_ / name).string(); }

  void read_plan();
  void open_results();
  void look_for_strangers();
  void check_shard(const PartReader& reader, std::int64_t shard);
  void check_values(const Rows& rows, const std::string& name);
  void compare_with_results(const Rows& rows, const PartInfo& info);
  void compare_offsets(const Rows& rows);
  void compare_rejects(const Rows& rows);
  void check_end();

  base::FileSystem& files_;
  const base::Path directory_;
  const std::size_t most_;
  Verification found_;
  Plan plan_;
  std::unique_ptr<ResultsFile> results_;  // null where it cannot be read
  std::unique_ptr<base::ReadFile> rejects_;
  std::int64_t rejects_read_ = 0;
  std::optional<Columns> columns_;  // of the first good part
};

void Verifier::read_plan() {
  const base::Path path = directory_ / "plan.json";
  if (!files_.exists(path)) {
    if (files_.exists(directory_ / ".thresher"))
      fail(Exit::again, directory_.string() + " holds no plan yet: give its score command again");
    fail(Exit::no_input, directory_.string() + " is not a run directory: it has no plan.json");
  }
  plan_ = parse_plan(base::read_all(files_, path, plan_file_limit, Links::refuse), path.string());
  const std::vector<std::int64_t>& shards = plan_.shards;
  const bool ascends = std::adjacent_find(shards.begin(), shards.end(), std::greater_equal<>()) == shards.end();
  if (shards.empty() || shards.front() != 0 || !ascends)
    fail(Exit::data, path.string() + " is damaged: its shards do not ascend from document 0");
  found_.shards = plan_.shard_count();
  found_.sharded = plan_.sharded();
  found_.finished = files_.entry(directory_ / "_SUCCESS") == base::Entry::file;
}

void Verifier::open_results() {
  const base::Path path = directory_ / "results.h5";
  if (files_.entry(path) == base::Entry::link) fail(Exit::data, path.string() + " is a symbolic link");
  auto results = std::make_unique<ResultsFile>(files_, path, ResultsFile::PartCheck::at_reading);
  if (results->rows() != plan_.shards.back()) {
    fail(Exit::data,
         fmt::format("{} holds {} documents, the plan {}", path.string(), results->rows(), plan_.shards.back()));
  }
  if (results->sharded() != plan_.sharded()) {
    fail(Exit::data, fmt::format("{} holds {}, the plan says otherwise", path.string(),
                                 results->sharded() ? "a table of parts" : "all rows"));
  }
  if (results->sharded() && std::cmp_not_equal(results->parts().size(), plan_.shard_count())) {
    fail(Exit::data, fmt::format("{} tells of {} parts, the plan has {} shards", path.string(), results->parts().size(),
                                 plan_.shard_count()));
  }
  if (const auto values = results->plan_text(); values && *values != format_values(plan_))
    fail(Exit::data, path.string() + " is of another job: its attribute plan is not what plan.json says");
  results_ = std::move(results);
}

void Verifier::look_for_strangers() {
  for (const std::string& name : files_.list(directory_ / "parts")) {
    const std::optional<std::int64_t> shard = shard_of(name);
    const bool temporary = name.starts_with(".") && name.ends_with(".tmp");
    if (temporary || (shard && *shard < plan_.shard_count())) continue;
    add_fault(fmt::format("{} is no part of this job of {} shards: remove it", path_text("parts/" + name),
                          plan_.shard_count()));
  }
}

void Verifier::check_shard(const PartReader& reader, std::int64_t shard) {
  const std::string name = reader.path(shard).string();
  if (!files_.exists(reader.path(shard))) {
    if (found_.finished) fail(Exit::data, name + " is missing");
    return;
  }
  const std::string part = reader.read(shard);
  const Columns columns = columns_of(hdf5::InputFile(image_of(part), name));
  const Rows rows = read_part(part, columns_.value_or(columns), name);
  columns_ = columns;
  const std::int64_t faults = found_.fault_count;
  check_values(rows, name);
  const PartInfo info = read_trailer(part, static_cast<std::int64_t>(part.size()), name);
  if (found_.finished) {
    if (results_) attempt([&] { compare_with_results(rows, info); });
    attempt([&] { compare_rejects(rows); });
  }
  add_rows(found_.totals, rows, columns);
  found_.tokens += info.tokens;
  found_.committed += found_.fault_count == faults;
}

void Verifier::check_values(const Rows& rows, const std::string& name) {
  for (std::size_t i = 0; i < rows.status.size(); ++i) {
    if (const std::string what = impossible(rows, i, *columns_); !what.empty())
      add_fault(fmt::format("{}: document {} has {}", name, rows.first + static_cast<std::int64_t>(i), what));
  }
  if (const std::string what = impossible_reasons(rows); !what.empty()) add_fault(fmt::format("{} has {}", name, what));
}

void Verifier::compare_with_results(const Rows& rows, const PartInfo& info) {
  const std::string name = path_text("results.h5");
  if (!(results_->columns() == *columns_)) fail(Exit::data, name + " has other columns than the parts");
  if (columns_->per_token) compare_offsets(rows);
  if (results_->sharded()) {  // its rows are the part's
    if (!(results_->parts()[static_cast<std::size_t>(rows.shard)] == info)) {
      fail(Exit::data,
           fmt::format("{}: {} is not the part that it tells of: digest {}, expected {}", name, source_name(rows.shard),
                       info.digest.hex(), results_->parts()[static_cast<std::size_t>(rows.shard)].digest.hex()));
    }
    return;
  }
  const Rows there = results_->read(rows.first, rows.count(), true);
  const std::vector<hdf5::ColumnPlan> plan = plan_columns(*columns_, rows.count(), info.tokens);
  const auto here_bytes = column_bytes(rows, *columns_), there_bytes = column_bytes(there, *columns_);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const auto [a, b] =
        std::mismatch(here_bytes[i].begin(), here_bytes[i].end(), there_bytes[i].begin(), there_bytes[i].end());
    if (a == here_bytes[i].end() && b == there_bytes[i].end()) continue;
    const std::int64_t row = (a - here_bytes[i].begin()) / plan[i].row_bytes();
    fail(Exit::data, fmt::format("{}: {} differs from {} in row {} of the shard, which begins with document {}", name,
                                 plan[i].name, source_name(rows.shard), row, rows.first));
  }
}

// /token/offsets go on from part to part; they stand in results.h5 itself, also where that is sharded.
void Verifier::compare_offsets(const Rows& rows) {
  const std::vector<std::uint64_t> there = results_->offsets(rows.first, rows.count());
  const std::uint64_t begin = rows.first == 0 ? 0 : there.front();
  for (std::size_t i = 0; i < there.size(); ++i) {
    if (there[i] == begin + rows.token_offsets[i]) continue;
    fail(Exit::data, fmt::format("{}: /token/offsets[{}] is {}, {} gives {}", path_text("results.h5"),
                                 rows.first + static_cast<std::int64_t>(i), there[i], source_name(rows.shard),
                                 begin + rows.token_offsets[i]));
  }
}

void Verifier::compare_rejects(const Rows& rows) {
  if (!nothing_skipped(rows)) rejects_.reset();
  if (!rejects_ || !results_) return;
  const std::string expected = reject_lines(rows, results_->ids(rows.first, rows.count()));
  std::string there(expected.size(), '\0');
  const bool enough = rejects_->size() - rejects_read_ >= static_cast<std::int64_t>(there.size());
  if (enough) rejects_->read_at(rejects_read_, std::as_writable_bytes(std::span(there)));
  rejects_read_ += static_cast<std::int64_t>(there.size());
  if (there == expected) return;
  rejects_.reset();  // what follows has moved
  fail(Exit::data, fmt::format("{} does not tell what {} does", path_text("rejects.jsonl"), source_name(rows.shard)));
}

void Verifier::check_end() {
  if (rejects_ && results_ && rejects_->size() != rejects_read_) {
    add_fault(
        fmt::format("{} has {} bytes, the parts give {}", path_text("rejects.jsonl"), rejects_->size(), rejects_read_));
  }
  const bool alike = results_ && columns_ && results_->columns() == *columns_;
  if (alike && results_->tokens() != found_.tokens) {
    add_fault(fmt::format("{} holds {} rows of tokens, the parts {}", path_text("results.h5"), results_->tokens(),
                          found_.tokens));
  }
  for (const std::string name : {"summary.json", "_SUCCESS"}) {
    attempt([&] {
      expect_totals(base::read_all(files_, directory_ / name, summary_file_limit, Links::refuse), found_.totals,
                    path_text(name));
    });
  }
}

Verification Verifier::run() {
  read_plan();
  const base::Path parts = directory_ / "parts";
  if (files_.entry(parts) != base::Entry::directory) fail(Exit::data, parts.string() + " is not a directory");
  if (found_.finished) {
    attempt([&] { open_results(); });
    attempt([&] { rejects_ = files_.open(directory_ / "rejects.jsonl", Links::refuse); });
  }
  look_for_strangers();
  const PartReader reader(files_, parts, plan_, hdf5_codec());
  for (std::int64_t shard = 0; shard < plan_.shard_count(); ++shard) attempt([&] { check_shard(reader, shard); });
  // Totals of some of the parts say nothing about the sums.
  if (found_.finished && found_.totals.documents == plan_.shards.back()) check_end();
  return std::move(found_);
}

}  // namespace

Verification verify_run(base::FileSystem& files, const base::Path& directory, std::size_t most_faults) {
  return Verifier(files, directory, most_faults).run();
}

}  // namespace thresher::store
