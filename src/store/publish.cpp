// Parts to results.h5, in document order, with one part in memory at a time.
#include <fmt/format.h>

#include <algorithm>

#include "store/codec.h"
#include "store/columns.h"
#include "store/master.h"
#include "store/part_file.h"
#include "store/plan_file.h"
#include "store/tally.h"
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

// What the trailers say.
std::vector<PartInfo> list_parts(base::FileSystem& files, const PartReader& reader, const Plan& plan) {
  std::vector<PartInfo> parts;
  for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard) {
    if (!files.exists(reader.path(shard))) {
      fail(plan.sharded() ? Exit::again : Exit::internal,
           fmt::format("shard {} of {} is not committed: {} is missing", shard, plan.shard_count(),
                       reader.path(shard).string()));
    }
    parts.push_back(reader.trailer(shard));
  }
  return parts;
}

// Rows of /token/... in all parts.
std::int64_t count_tokens(const std::vector<PartInfo>& parts) {
  std::int64_t tokens = 0;
  for (const PartInfo& part : parts) {
    if (__builtin_add_overflow(tokens, part.tokens, &tokens))
      fail(Exit::data, fmt::format("shard {}: more tokens than can be counted", part.shard));
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

// Appends to each column of results.h5 that is not virtual.
class Publication {
 public:
  Publication(hdf5::ColumnWriter& results, TextFile& rejects, const Plan& plan, const Columns& columns)
      : results_(results), rejects_(rejects), sharded_(plan.sharded()), columns_(columns) {
    constexpr std::uint64_t zero = 0;
    if (columns.per_token) results_.append(1 + offsets_column(columns), std::as_bytes(std::span(&zero, 1)));
  }

  void add(Rows rows, const std::vector<std::string>& ids) {
    rejects_.append(reject_lines(rows, ids));
    add_rows(totals_, rows, columns_);
    for (std::uint64_t& offset : rows.token_offsets) offset += tokens_;
    if (columns_.per_token) tokens_ = rows.token_offsets.back();
    results_.append_text(0, ids);
    const std::vector<std::span<const std::byte>> data = column_bytes(rows, columns_);
    for (std::size_t i = 0; i < data.size(); ++i) {
      const bool is_offsets = columns_.per_token && i == offsets_column(columns_);
      if (is_offsets)
        results_.append(1 + i, data[i].subspan(sizeof(std::uint64_t)));
      else if (!sharded_)
        results_.append(1 + i, data[i]);
    }
  }

  const Totals& totals() const { return totals_; }

 private:
  hdf5::ColumnWriter& results_;
  TextFile& rejects_;
  bool sharded_;
  Columns columns_;
  std::uint64_t tokens_ = 0;
  Totals totals_;
};

}  // namespace

Totals RunDirectory::publish(const Plan& plan, const Columns& columns, Source& corpus, const Attributes& attributes) {
  if (plan.shards.empty() || plan.shards.front() != 0 || plan.shards.back() != corpus.info().documents) {
    fail(Exit::internal, fmt::format("the plan does not cover the corpus of {} documents", corpus.info().documents));
  }
  const PartReader reader(files_, directory_ / "parts", plan, codec_);
  const std::vector<PartInfo> parts = list_parts(files_, reader, plan);
  hdf5::FilePlan file = plan_results(plan, columns, widest_id(corpus), count_tokens(parts));
  file.attributes.insert(file.attributes.end(), attributes.begin(), attributes.end());
  const std::size_t result_columns = file.columns.size();
  if (plan.sharded()) plan_master(file, parts, columns);
  hdf5::Layout layout = codec_.lay_out(file);
  hdf5::ColumnWriter results(files_, directory_ / "results.h5", std::move(file), std::move(layout));
  if (plan.sharded()) write_table(results, result_columns, parts);
  TextFile rejects(files_, directory_ / "rejects.jsonl");
  Publication publication(results, rejects, plan, columns);
  for (const PartInfo& info : parts) {
    const std::string part = reader.read(info.shard), name = reader.path(info.shard).string();
    if (read_trailer(part, static_cast<std::int64_t>(part.size()), name).digest != info.digest)
      fail(Exit::data, name + " was replaced while it was read: run the same command again");
    Rows rows = codec_.read(part, columns, name);
    const std::vector<std::string> ids = corpus.ids(rows.first, rows.count());
    publication.add(std::move(rows), ids);
  }
  results.publish();
  rejects.publish();
  return publication.totals();
}

}  // namespace thresher::store
