#include "store/columns.h"

#include <fmt/format.h>

#include <array>

#include "thresher/base/check.h"

namespace thresher::store {

using base::Exit;
using base::fail;
using hdf5::ColumnPlan;
using hdf5::Kind;

namespace {

constexpr std::array<std::string_view, 5> status_names{"ok", "windowed", "rejected", "nan", "empty"};

}  // namespace

std::string_view name_of(Status status) {
  return status_names.at(static_cast<std::size_t>(status));
}

std::vector<ColumnPlan> plan_columns(const Columns& columns, std::int64_t rows, std::int64_t tokens) {
  std::vector<ColumnPlan> plan{{"/status", Kind::u8, rows, 1, false, {status_names.begin(), status_names.end()}},
                               {"/tokens", Kind::i64, rows, 1, false, {}},
                               {"/logprob", Kind::f64, rows, 1, false, {}},
                               {"/bytes", Kind::i64, rows, 1, false, {}},
                               {"/words", Kind::i64, rows, 1, false, {}}};
  if (columns.pairs) plan.push_back({"/is_greedy", Kind::u8, rows, 1, false, {}});
  if (!columns.per_token) return plan;
  plan.push_back({"/token/offsets", Kind::u64, rows + 1, 1, false, {}});
  plan.push_back({"/token/id", Kind::u32, tokens, 1, false, {}});
  plan.push_back({"/token/logprob", Kind::f32, tokens, 1, false, {}});
  plan.push_back({"/token/rank", Kind::i32, tokens, 1, false, {}});
  plan.push_back({"/token/entropy", Kind::f32, tokens, 1, false, {}});
  if (columns.top_k == 0) return plan;
  plan.push_back({"/token/top_id", Kind::u32, tokens, columns.top_k, true, {}});
  plan.push_back({"/token/top_logprob", Kind::f32, tokens, columns.top_k, true, {}});
  return plan;
}

std::vector<std::span<const std::byte>> column_bytes(const Rows& rows, const Columns& columns) {
  const auto bytes = [](const auto& values) { return std::as_bytes(std::span(values)); };
  std::vector<std::span<const std::byte>> data{bytes(rows.status), bytes(rows.tokens), bytes(rows.logprob),
                                               bytes(rows.bytes), bytes(rows.words)};
  if (columns.pairs) data.push_back(bytes(rows.is_greedy));
  if (!columns.per_token) return data;
  data.insert(data.end(), {bytes(rows.token_offsets), bytes(rows.token_id), bytes(rows.token_logprob),
                           bytes(rows.token_rank), bytes(rows.token_entropy)});
  if (columns.top_k > 0) data.insert(data.end(), {bytes(rows.top_id), bytes(rows.top_logprob)});
  return data;
}

std::size_t offsets_column(const Columns& columns) {
  return columns.pairs ? 6 : 5;
}

void check_rows(const Rows& rows, const Columns& columns) {
  const std::int64_t tokens =
      columns.per_token && !rows.token_offsets.empty() ? static_cast<std::int64_t>(rows.token_offsets.back()) : 0;
  const std::vector<ColumnPlan> plan = plan_columns(columns, rows.count(), tokens);
  const std::vector<std::span<const std::byte>> data = column_bytes(rows, columns);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (static_cast<std::int64_t>(data[i].size()) != plan[i].bytes()) {
      fail(Exit::internal, fmt::format("shard {}: {} has {} bytes, expected {}", rows.shard, plan[i].name,
                                       data[i].size(), plan[i].bytes()));
    }
  }
}

Columns columns_of(const hdf5::InputFile& file) {
  Columns columns;
  columns.pairs = file.has("/is_greedy");
  columns.per_token = file.has("/token/offsets");
  if (columns.per_token && file.has("/token/top_id"))
    columns.top_k = static_cast<std::int32_t>(file.look_at("/token/top_id").width());
  return columns;
}

RowReader::RowReader(const hdf5::InputFile& file, const Columns& columns)
    : name_(file.name()),
      columns_(columns),
      status_(file.column("/status")),
      scored_(file.column("/tokens")),
      logprob_(file.column("/logprob")),
      bytes_(file.column("/bytes")),
      words_(file.column("/words")) {
  status_.expect(status_.rows());
  for (const hdf5::InputColumn* column : {&scored_, &logprob_, &bytes_, &words_}) column->expect(rows());
  if (columns.pairs) {
    is_greedy_.emplace(file.column("/is_greedy"));
    is_greedy_->expect(rows());
  }
  if (!columns.per_token) return;
  offsets_.emplace(file.column("/token/offsets"));
  offsets_->expect(rows() + 1);
  token_id_.emplace(file.column("/token/id"));
  token_logprob_.emplace(file.column("/token/logprob"));
  token_rank_.emplace(file.column("/token/rank"));
  token_entropy_.emplace(file.column("/token/entropy"));
  for (const auto* column : {&token_id_, &token_logprob_, &token_rank_, &token_entropy_}) (*column)->expect(tokens());
  if (columns.top_k == 0) return;
  top_id_.emplace(file.column("/token/top_id"));
  top_logprob_.emplace(file.column("/token/top_logprob"));
  for (const auto* column : {&top_id_, &top_logprob_}) (*column)->expect(tokens(), columns.top_k);
}

std::vector<std::uint64_t> read_offsets(const hdf5::InputColumn& column, std::int64_t first, std::int64_t count,
                                        std::int64_t tokens) {
  std::vector<std::uint64_t> values = column.read<std::uint64_t>(first, count + 1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < (i == 0 ? 0 : values[i - 1]) || values[i] > static_cast<std::uint64_t>(tokens)) {
      fail(Exit::data, fmt::format("{}[{}] is {}, outside 0 to {} or falling", column.name(),
                                   first + static_cast<std::int64_t>(i), values[i], tokens));
    }
  }
  return values;
}

Rows RowReader::read(std::int64_t first, std::int64_t count, bool with_tokens) const {
  Rows rows;
  rows.first = first;
  for (const std::uint8_t code : status_.read<std::uint8_t>(first, count)) {
    if (code >= status_names.size())
      fail(Exit::data, fmt::format("{}: status {}, expected at most {}", name_, code, status_names.size() - 1));
    rows.status.push_back(static_cast<Status>(code));
  }
  rows.tokens = scored_.read<std::int64_t>(first, count);
  rows.logprob = logprob_.read<double>(first, count);
  rows.bytes = bytes_.read<std::int64_t>(first, count);
  rows.words = words_.read<std::int64_t>(first, count);
  if (columns_.pairs) rows.is_greedy = is_greedy_->read<std::uint8_t>(first, count);
  if (columns_.per_token && with_tokens) read_tokens(rows, first, count);
  return rows;
}

void RowReader::read_tokens(Rows& rows, std::int64_t first, std::int64_t count) const {
  rows.token_offsets = offsets(first, count);
  const auto begin = static_cast<std::int64_t>(rows.token_offsets.front());
  const auto tokens = static_cast<std::int64_t>(rows.token_offsets.back()) - begin;
  for (std::uint64_t& offset : rows.token_offsets) offset -= static_cast<std::uint64_t>(begin);
  rows.token_id = token_id_->read<std::uint32_t>(begin, tokens);
  rows.token_logprob = token_logprob_->read<float>(begin, tokens);
  rows.token_rank = token_rank_->read<std::int32_t>(begin, tokens);
  rows.token_entropy = token_entropy_->read<float>(begin, tokens);
  if (columns_.top_k == 0) return;
  rows.top_id = top_id_->read<std::uint32_t>(begin, tokens);
  rows.top_logprob = top_logprob_->read<float>(begin, tokens);
}

}  // namespace thresher::store
