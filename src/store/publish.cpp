// Parts to results.h5, in document order, with one part in memory at a time.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "store/columns.h"
#include "store/json_text.h"
#include "store/part_file.h"
#include "store/plan_file.h"
#include "store/text_file.h"
#include "thresher/base/check.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;

constexpr std::int64_t id_block = 65536;
constexpr std::size_t largest_attribute = 32768;  // HDF5 allows 64 KiB

std::int64_t widest_id(Source& corpus) {
  std::size_t width = 1;
  const std::int64_t count = corpus.info().documents;
  for (std::int64_t first = 0; first < count; first += id_block) {
    for (const std::string& id : corpus.ids(first, std::min(id_block, count - first)))
      width = std::max(width, id.size());
  }
  return static_cast<std::int64_t>(width);
}

// Rows of /token/... in all parts, by their trailers.
std::int64_t count_tokens(base::FileSystem& files, const base::Path& parts, const Plan& plan) {
  std::int64_t tokens = 0;
  for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard) {
    const base::Path path = parts / part_name(shard);
    if (!files.exists(path))
      fail(Exit::internal, fmt::format("shard {} of {} is not committed", shard, plan.shard_count()));
    const std::unique_ptr<base::ReadFile> file = files.open(path, base::Links::refuse);
    std::array<char, 64> end{};
    if (file->size() < static_cast<std::int64_t>(end.size()))
      fail(Exit::data, path.string() + " was cut: run the same command again");
    file->read_at(file->size() - static_cast<std::int64_t>(end.size()), std::as_writable_bytes(std::span(end)));
    const PartInfo info = read_trailer(std::string_view(end.data(), end.size()), file->size(), path.string());
    check_place(info, plan, shard, path.string());
    if (__builtin_add_overflow(tokens, info.tokens, &tokens))
      fail(Exit::data, path.string() + ": more tokens than can be counted");
  }
  return tokens;
}

hdf5::FilePlan plan_results(const Plan& plan, const Columns& columns, std::int64_t id_width, std::int64_t tokens) {
  const std::int64_t documents = plan.shards.back();
  hdf5::FilePlan file{"thresher-results", 1, {}, {{"/id", hdf5::Kind::text, documents, id_width, false, {}}}};
  if (std::string values = format_values(plan); values.size() <= largest_attribute)
    file.attributes.emplace_back("plan", std::move(values));
  for (hdf5::ColumnPlan& column : plan_columns(columns, documents, tokens)) file.columns.push_back(std::move(column));
  return file;
}

class Publication {
 public:
  Publication(hdf5::ColumnWriter& results, TextFile& rejects, const Columns& columns)
      : results_(results), rejects_(rejects), columns_(columns) {
    constexpr std::uint64_t zero = 0;
    if (columns.per_token) results_.append(1 + offsets_column(columns), std::as_bytes(std::span(&zero, 1)));
  }

  void add(Rows rows, const std::vector<std::string>& ids) {
    add_rejects(rows, ids);
    add_totals(rows);
    for (std::uint64_t& offset : rows.token_offsets) offset += tokens_;
    if (columns_.per_token) tokens_ = rows.token_offsets.back();
    results_.append_text(0, ids);
    const std::vector<std::span<const std::byte>> data = column_bytes(rows, columns_);
    for (std::size_t i = 0; i < data.size(); ++i) {
      const bool is_offsets = columns_.per_token && i == offsets_column(columns_);
      results_.append(1 + i, is_offsets ? data[i].subspan(sizeof(std::uint64_t)) : data[i]);
    }
  }

  const Totals& totals() const { return totals_; }

 private:
  void add_rejects(const Rows& rows, const std::vector<std::string>& ids);
  void add_totals(const Rows& rows);

  hdf5::ColumnWriter& results_;
  TextFile& rejects_;
  Columns columns_;
  std::uint64_t tokens_ = 0;
  Totals totals_;
};

void Publication::add_rejects(const Rows& rows, const std::vector<std::string>& ids) {
  for (const Rows::Reject& reject : rows.rejects) {
    const std::int64_t at = reject.document - rows.first;
    if (at < 0 || at >= rows.count()) {
      fail(Exit::data,
           fmt::format("shard {}: reason for document {}, which it does not hold", rows.shard, reject.document));
    }
    std::string line = fmt::format("{{\"document\": {}, \"id\": ", reject.document);
    append_json(line, ids[static_cast<std::size_t>(at)]);
    line += fmt::format(", \"status\": \"{}\", \"reason\": ", name_of(rows.status[static_cast<std::size_t>(at)]));
    append_json(line, reject.reason);
    rejects_.append(line + "}\n");
  }
}

// The sum over a shard is made first and then added, so that it does not depend on who scored the shard.
void Publication::add_totals(const Rows& rows) {
  double logprob = 0;
  for (std::size_t i = 0; i < rows.status.size(); ++i) {
    ++totals_.by_status[static_cast<std::size_t>(rows.status[i])];
    if (rows.status[i] != Status::ok && rows.status[i] != Status::windowed) continue;
    totals_.tokens += rows.tokens[i];
    totals_.bytes += rows.bytes[i];
    totals_.words += rows.words[i];
    logprob += rows.logprob[i];
    if (columns_.pairs) totals_.pairs_greedy += rows.is_greedy[i] != 0;
  }
  totals_.documents += rows.count();
  totals_.logprob += logprob;
}

}  // namespace

Totals RunDirectory::publish(const Plan& plan, const Columns& columns, Source& corpus) {
  if (plan.shards.empty() || plan.shards.front() != 0 || plan.shards.back() != corpus.info().documents) {
    fail(Exit::internal, fmt::format("the plan does not cover the corpus of {} documents", corpus.info().documents));
  }
  const base::Path parts = directory_ / "parts";
  const std::int64_t tokens = count_tokens(files_, parts, plan);
  hdf5::ColumnWriter results(files_, directory_ / "results.h5", plan_results(plan, columns, widest_id(corpus), tokens));
  TextFile rejects(files_, directory_ / "rejects.jsonl");
  Publication publication(results, rejects, columns);
  for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard) {
    const base::Path path = parts / part_name(shard);
    const std::string part = read_checked_part(files_, path, plan, shard);
    Rows rows = read_part(part, columns, path.string());
    const std::vector<std::string> ids = corpus.ids(rows.first, rows.count());
    publication.add(std::move(rows), ids);
  }
  results.publish();
  rejects.publish();
  return publication.totals();
}

}  // namespace thresher::store
