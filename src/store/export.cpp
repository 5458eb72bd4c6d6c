#include "thresher/store/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "store/json_text.h"
#include "store/results.h"

namespace thresher::store {
namespace {

constexpr std::int64_t rows_at_once = 4096;
constexpr std::int64_t token_values_at_once = 1 << 18;  // of each column, top K counted K times

template <class T>
void append_array(std::string& out, std::string_view name, std::span<const T> values) {
  out += fmt::format(", \"{}\": [", name);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ", ";
    if constexpr (std::is_integral_v<T>)
      append_json(out, static_cast<std::int64_t>(values[i]));
    else
      append_json(out, values[i]);
  }
  out += ']';
}

// One list of `top_k` values for each token.
template <class T>
void append_matrix(std::string& out, std::string_view name, std::span<const T> values, std::int32_t top_k) {
  out += fmt::format(", \"{}\": [", name);
  const auto width = static_cast<std::size_t>(top_k);
  for (std::size_t at = 0; at < values.size(); at += width) {
    std::string row;
    append_array(row, "", values.subspan(at, width));
    if (at > 0) out += ", ";
    out += row.substr(row.find('['));
  }
  out += ']';
}

void append_tokens(std::string& out, const Rows& rows, std::size_t i, const Columns& columns) {
  const std::size_t begin = rows.token_offsets[i], count = rows.token_offsets[i + 1] - begin;
  const auto part = [&](const auto& values) { return std::span(values).subspan(begin, count); };
  std::string token;
  append_array(token, "id", part(rows.token_id));
  append_array(token, "logprob", part(rows.token_logprob));
  append_array(token, "rank", part(rows.token_rank));
  append_array(token, "entropy", part(rows.token_entropy));
  if (columns.top_k > 0) {
    const auto width = static_cast<std::size_t>(columns.top_k);
    append_matrix(token, "top_id", std::span(rows.top_id).subspan(begin * width, count * width), columns.top_k);
    append_matrix(token, "top_logprob", std::span(rows.top_logprob).subspan(begin * width, count * width),
                  columns.top_k);
  }
  out += ", \"token\": {" + token.substr(2) + "}";
}

void append_jsonl(std::string& out, const Rows& rows, const std::vector<std::string>& ids, const Columns& columns) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    out += "{\"id\": ";
    append_json(out, ids[i]);
    out += fmt::format(", \"status\": \"{}\", \"tokens\": {}, \"logprob\": ", name_of(rows.status[i]), rows.tokens[i]);
    append_json(out, rows.logprob[i]);
    out += fmt::format(", \"bytes\": {}, \"words\": {}", rows.bytes[i], rows.words[i]);
    if (columns.pairs) out += rows.is_greedy[i] != 0 ? ", \"is_greedy\": true" : ", \"is_greedy\": false";
    if (columns.per_token) append_tokens(out, rows, i, columns);
    out += "}\n";
  }
}

// RFC 4180: quoted where it must be, quotes doubled, lines end in CRLF.
void append_csv_text(std::string& out, std::string_view text) {
  if (text.find_first_of("\",\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void append_csv(std::string& out, const Rows& rows, const std::vector<std::string>& ids, const Columns& columns) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    append_csv_text(out, ids[i]);
    out += fmt::format(",{},{},", name_of(rows.status[i]), rows.tokens[i]);
    if (std::isfinite(rows.logprob[i])) append_json(out, rows.logprob[i]);
    out += fmt::format(",{},{}", rows.bytes[i], rows.words[i]);
    if (columns.pairs) out += rows.is_greedy[i] != 0 ? ",1" : ",0";
    out += "\r\n";
  }
}

}  // namespace

std::int64_t export_results(const base::Path& results, ExportFormat format,
                            const std::function<void(std::string_view)>& out) {
  const ResultsFile file(base::real_files(), results);
  const bool csv = format == ExportFormat::csv;
  const std::int64_t tokens_at_once = token_values_at_once / std::max(file.columns().top_k, 1);
  if (csv)
    out(file.columns().pairs ? "id,status,tokens,logprob,bytes,words,is_greedy\r\n"
                             : "id,status,tokens,logprob,bytes,words\r\n");
  for (std::int64_t first = 0; first < file.rows();) {
    const std::int64_t count = csv ? file.batch(first, rows_at_once) : file.batch(first, rows_at_once, tokens_at_once);
    const Rows rows = file.read(first, count, !csv);
    const std::vector<std::string> ids = file.ids(first, count);
    std::string text;
    if (csv)
      append_csv(text, rows, ids, file.columns());
    else
      append_jsonl(text, rows, ids, file.columns());
    out(text);
    first += count;
  }
  return file.rows();
}

Extremes find_extremes(const base::Path& results, std::int64_t count, std::int64_t least_tokens) {
  const ResultsFile file(base::real_files(), results);
  Extremes extremes;
  const auto likelier = [](const Extreme& a, const Extreme& b) {
    return a.mean_logprob != b.mean_logprob ? a.mean_logprob > b.mean_logprob : a.document < b.document;
  };
  const auto rarer = [](const Extreme& a, const Extreme& b) {
    return a.mean_logprob != b.mean_logprob ? a.mean_logprob < b.mean_logprob : a.document < b.document;
  };
  const auto keep = [count](std::vector<Extreme>& list, const Extreme& extreme, auto before) {
    list.insert(std::upper_bound(list.begin(), list.end(), extreme, before), extreme);
    if (static_cast<std::int64_t>(list.size()) > count) list.pop_back();
  };
  for (std::int64_t first = 0; first < file.rows();) {
    const Rows rows = file.read(first, file.batch(first, rows_at_once), false);
    for (std::size_t i = 0; i < rows.status.size(); ++i) {
      if (rows.status[i] != Status::ok && rows.status[i] != Status::windowed) continue;
      if (rows.tokens[i] < std::max<std::int64_t>(least_tokens, 1)) continue;
      const Extreme extreme{first + static_cast<std::int64_t>(i),
                            {},
                            rows.tokens[i],
                            rows.logprob[i] / static_cast<double>(rows.tokens[i])};
      keep(extremes.most, extreme, likelier);
      keep(extremes.least, extreme, rarer);
    }
    first += rows.count();
  }
  for (std::vector<Extreme>* list : {&extremes.most, &extremes.least}) {
    for (Extreme& extreme : *list) extreme.id = file.ids(extreme.document, 1)[0];
  }
  return extremes;
}

}  // namespace thresher::store
