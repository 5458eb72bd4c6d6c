#include "thresher/store/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "store/match.h"
#include "store/plan_file.h"
#include "store/results.h"

namespace thresher::store {
namespace {

constexpr std::int64_t rows_at_once = 16384;
constexpr std::int64_t token_values_at_once = 1 << 19;  // of each column, top K counted K times
constexpr double infinite = std::numeric_limits<double>::infinity();

// In the order they are told.
enum Column : std::uint8_t {
  status,
  tokens,
  bytes,
  words,
  is_greedy,
  logprob,
  token_id,
  token_logprob,
  token_rank,
  token_entropy,
  token_top
};
constexpr std::array<std::string_view, 11> column_names{"status",     "tokens",        "bytes",    "words",
                                                        "is_greedy",  "logprob",       "token/id", "token/logprob",
                                                        "token/rank", "token/entropy", "token/top"};

// 0 for the same numbers and for two NaN, infinite where one is NaN.
double apart(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  const double difference = std::abs(a - b);
  return std::isnan(difference) ? infinite : difference;
}

struct Place {
  const Rows& rows;
  std::size_t at;
  double logprob() const { return rows.logprob[at]; }
  std::size_t begin() const { return rows.token_offsets[at]; }
  std::size_t token_count() const { return rows.token_offsets[at + 1] - begin(); }
};

class Comparison {
 public:
  Comparison(const ResultsFile& a, const ResultsFile& b, const DiffOptions& options);
  Diff run();

 private:
  void compare_block(const Rows& rows, const std::vector<std::int64_t>& partners);
  void compare(const Place& a, const Place& b);
  void compare_scores(const Place& a, const Place& b);
  void compare_tokens(const Place& a, const Place& b);
  void compare_top(const Place& a, const Place& b, std::size_t token);
  void mark(Column column) { differs_ |= 1u << column; }
  void note(Largest& largest, double difference, const Place& a, double in_a, double in_b, std::int64_t token = -1);
  void keep(const Place& a, const Place& b);
  void name_documents(const Matcher& matcher);
  void tell_columns();

  const ResultsFile& a_;
  const ResultsFile& b_;
  const DiffOptions options_;
  Columns both_;
  Diff diff_;
  std::array<std::int64_t, column_names.size()> counts_{};
  std::vector<std::int64_t> only_a_;
  // Of the document at hand:
  unsigned differs_ = 0;  // bits of Column
  double weight_ = 0, largest_token_ = 0;
};

Comparison::Comparison(const ResultsFile& a, const ResultsFile& b, const DiffOptions& options)
    : a_(a), b_(b), options_(options) {
  both_.pairs = a.columns().pairs && b.columns().pairs;
  both_.per_token = options.tokens && a.columns().per_token && b.columns().per_token;
  if (both_.per_token && a.columns().top_k == b.columns().top_k) both_.top_k = a.columns().top_k;
  diff_.documents_a = a.rows();
  diff_.documents_b = b.rows();
  diff_.tokens = both_.per_token;
}

void Comparison::note(Largest& largest, double difference, const Place& a, double in_a, double in_b,
                      std::int64_t token) {
  const std::int64_t document = a.rows.first + static_cast<std::int64_t>(a.at);
  const bool more = difference > largest.difference;
  // Blocks are not compared in A's order: of equal differences the first one is told.
  const bool earlier = difference == largest.difference && difference > 0 && document < largest.document;
  if (more || earlier) largest = {difference, document, {}, token, in_a, in_b};
}

void Comparison::compare_top(const Place& a, const Place& b, std::size_t token) {
  const auto width = static_cast<std::size_t>(both_.top_k);
  for (std::size_t k = 0; k < width; ++k) {
    const std::size_t i = (a.begin() + token) * width + k, j = (b.begin() + token) * width + k;
    if (a.rows.top_id[i] != b.rows.top_id[j] || apart(a.rows.top_logprob[i], b.rows.top_logprob[j]) > 0)
      mark(token_top);
  }
}

void Comparison::compare_tokens(const Place& a, const Place& b) {
  if (a.token_count() != b.token_count()) return mark(token_id);
  for (std::size_t t = 0; t < a.token_count(); ++t) {
    const std::size_t i = a.begin() + t, j = b.begin() + t;
    if (a.rows.token_id[i] != b.rows.token_id[j]) mark(token_id);
    const float in_a = a.rows.token_logprob[i], in_b = b.rows.token_logprob[j];
    const double difference = apart(in_a, in_b);
    if (difference > options_.tolerance) mark(token_logprob);
    largest_token_ = std::max(largest_token_, difference);
    note(diff_.token, difference, a, in_a, in_b, static_cast<std::int64_t>(t));
    if (apart(a.rows.token_entropy[i], b.rows.token_entropy[j]) > options_.tolerance) mark(token_entropy);
    if (options_.tolerance > 0) continue;
    if (a.rows.token_rank[i] != b.rows.token_rank[j]) mark(token_rank);
    compare_top(a, b, t);
  }
  weight_ = std::max(weight_, largest_token_);
}

void Comparison::compare_scores(const Place& a, const Place& b) {
  const double difference = apart(a.logprob(), b.logprob());
  const auto count = static_cast<double>(std::max<std::int64_t>(1, std::min(a.rows.tokens[a.at], b.rows.tokens[b.at])));
  if (difference / count > options_.tolerance) mark(logprob);
  weight_ = std::max(weight_, difference / count);
  if (!std::isfinite(difference)) return;
  const double scale = std::max(std::abs(a.logprob()), std::abs(b.logprob()));
  note(diff_.absolute, difference, a, a.logprob(), b.logprob());
  note(diff_.per_token, difference / count, a, a.logprob(), b.logprob());
  if (scale > 0) note(diff_.relative, difference / scale, a, a.logprob(), b.logprob());
}

void Comparison::compare(const Place& a, const Place& b) {
  differs_ = 0;
  weight_ = largest_token_ = 0;
  if (a.rows.status[a.at] != b.rows.status[b.at]) mark(status);
  if (a.rows.tokens[a.at] != b.rows.tokens[b.at]) mark(tokens);
  if (a.rows.bytes[a.at] != b.rows.bytes[b.at]) mark(bytes);
  if (a.rows.words[a.at] != b.rows.words[b.at]) mark(words);
  if (both_.pairs && a.rows.is_greedy[a.at] != b.rows.is_greedy[b.at]) mark(is_greedy);
  compare_scores(a, b);
  if (both_.per_token) compare_tokens(a, b);
  ++diff_.matched;
  if (differs_ == 0) return;
  ++diff_.different;
  for (std::size_t column = 0; column < counts_.size(); ++column) counts_[column] += differs_ >> column & 1;
  if ((differs_ & (1u << status | 1u << tokens | 1u << token_id)) != 0) weight_ = infinite;
  keep(a, b);
}

void Comparison::keep(const Place& a, const Place& b) {
  DifferentDocument found;
  found.in_a = a.rows.first + static_cast<std::int64_t>(a.at);
  found.in_b = b.rows.first + static_cast<std::int64_t>(b.at);
  found.weight = weight_;
  const auto before = [](const DifferentDocument& x, const DifferentDocument& y) {
    return x.weight != y.weight ? x.weight > y.weight : x.in_a < y.in_a;
  };
  const auto full = static_cast<std::int64_t>(diff_.worst.size()) >= options_.worst;
  if (full && (diff_.worst.empty() || !before(found, diff_.worst.back()))) return;
  found.status_a = a.rows.status[a.at];
  found.status_b = b.rows.status[b.at];
  found.tokens_a = a.rows.tokens[a.at];
  found.tokens_b = b.rows.tokens[b.at];
  found.logprob_a = a.logprob();
  found.logprob_b = b.logprob();
  found.largest_token = largest_token_;
  for (std::size_t column = 0; column < column_names.size(); ++column) {
    if ((differs_ >> column & 1) != 0)
      found.columns += (found.columns.empty() ? "" : ", ") + std::string(column_names[column]);
  }
  diff_.worst.insert(std::ranges::upper_bound(diff_.worst, found, before), std::move(found));
  if (std::cmp_greater(diff_.worst.size(), options_.worst)) diff_.worst.pop_back();
}

// B's rows come in runs of consecutive documents, in its own order.
void Comparison::compare_block(const Rows& rows, const std::vector<std::int64_t>& partners) {
  std::vector<std::pair<std::int64_t, std::size_t>> wanted;  // document of B, row of the block
  for (std::size_t i = 0; i < partners.size(); ++i) {
    if (partners[i] >= 0) {
      wanted.emplace_back(partners[i], i);
      continue;
    }
    if (diff_.only_a++ < options_.worst) only_a_.push_back(rows.first + static_cast<std::int64_t>(i));
  }
  std::ranges::sort(wanted);
  const std::int64_t values = token_values_at_once / std::max(1, b_.columns().top_k);
  for (std::size_t i = 0; i < wanted.size();) {
    const std::int64_t first = wanted[i].first;
    std::size_t end = i + 1;
    while (end < wanted.size() && wanted[end].first == first + static_cast<std::int64_t>(end - i)) ++end;
    const auto run = static_cast<std::int64_t>(end - i);
    const std::int64_t count = both_.per_token ? b_.batch(first, run, values) : b_.batch(first, run);
    const Rows there = b_.read(first, count, both_.per_token);
    for (std::int64_t row = 0; row < count; ++row, ++i)
      compare({rows, wanted[i].second}, {there, static_cast<std::size_t>(row)});
  }
}

void Comparison::name_documents(const Matcher& matcher) {
  for (const std::int64_t document : only_a_) diff_.only_a_ids.push_back(a_.ids(document, 1)[0]);
  const std::vector<std::int64_t> left = matcher.left();
  diff_.only_b = static_cast<std::int64_t>(left.size());
  for (const std::int64_t document : left) {
    if (std::cmp_greater_equal(diff_.only_b_ids.size(), options_.worst)) break;
    diff_.only_b_ids.push_back(b_.ids(document, 1)[0]);
  }
  for (DifferentDocument& document : diff_.worst) document.id = a_.ids(document.in_a, 1)[0];
  for (Largest* largest : {&diff_.absolute, &diff_.relative, &diff_.per_token, &diff_.token}) {
    if (largest->document >= 0) largest->id = a_.ids(largest->document, 1)[0];
  }
}

void Comparison::tell_columns() {
  for (std::size_t column = 0; column < counts_.size(); ++column) {
    if (counts_[column] > 0) diff_.columns.push_back({std::string(column_names[column]), counts_[column]});
  }
  const auto tell = [&](std::string_view name, bool in_a, bool in_b) {
    if (in_a != in_b) diff_.columns_of_one.push_back(fmt::format("{} (only in {})", name, in_a ? "A" : "B"));
  };
  const Columns a = a_.columns(), b = b_.columns();
  tell("is_greedy", a.pairs, b.pairs);
  tell("token", a.per_token, b.per_token);
  if (a.per_token && b.per_token && a.top_k != b.top_k)
    diff_.columns_of_one.push_back(fmt::format("token/top (of {} in A, of {} in B)", a.top_k, b.top_k));
}

Diff Comparison::run() {
  Matcher matcher(a_, b_);
  const std::int64_t values = token_values_at_once / std::max(1, a_.columns().top_k);
  for (std::int64_t first = 0; first < a_.rows();) {
    const std::int64_t count = both_.per_token ? a_.batch(first, rows_at_once, values) : a_.batch(first, rows_at_once);
    compare_block(a_.read(first, count, both_.per_token), matcher.partners(first, count));
    first += count;
  }
  name_documents(matcher);
  tell_columns();
  return std::move(diff_);
}

std::vector<Diff::Value> plan_differences(const ResultsFile& a, const ResultsFile& b, const base::Path& path_a,
                                          const base::Path& path_b) {
  const auto text_a = a.plan_text(), text_b = b.plan_text();
  if (!text_a || !text_b) return {};
  std::map<std::string, std::string> in_a = parse_values(*text_a, path_a.string());
  std::map<std::string, std::string> in_b = parse_values(*text_b, path_b.string());
  std::set<std::string> names;
  for (const auto* values : {&in_a, &in_b}) {
    for (const auto& entry : *values) names.insert(entry.first);
  }
  std::vector<Diff::Value> different;
  for (const std::string& name : names) {
    if (in_a[name] != in_b[name]) different.push_back({name, in_a[name], in_b[name]});
  }
  return different;
}

}  // namespace

Diff diff_results(base::FileSystem& files, const base::Path& a, const base::Path& b, const DiffOptions& options) {
  const ResultsFile in_a(files, a), in_b(files, b);
  Diff diff = Comparison(in_a, in_b, options).run();
  diff.plan = plan_differences(in_a, in_b, a, b);
  return diff;
}

}  // namespace thresher::store
