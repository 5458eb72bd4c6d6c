#include "store/row_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace thresher::store {
namespace {

// How far above 0 the rounding of f32 can take a log-probability, or below 0 an entropy.
constexpr double rounding = 0.01;
// A document's sum is taken in f64 over the f32 values that stand in /token/logprob.
constexpr double sum_rounding = 1e-9;

bool is_scored(Status status) {
  return status == Status::ok || status == Status::windowed;
}

std::string impossible_document(const Rows& rows, std::size_t i, const Columns& columns) {
  const Status status = rows.status[i];
  const bool scored = is_scored(status);
  const std::int64_t tokens = rows.tokens[i];
  const double logprob = rows.logprob[i];
  if (scored ? !std::isfinite(logprob) : !std::isnan(logprob))
    return fmt::format("logprob {} with status {}", logprob, name_of(status));
  if (tokens < 0 || rows.bytes[i] < 0 || rows.words[i] < 0)
    return fmt::format("{} tokens, {} bytes, {} words", tokens, rows.bytes[i], rows.words[i]);
  if ((scored || status == Status::nan) != (tokens > 0))
    return fmt::format("{} tokens with status {}", tokens, name_of(status));
  if (scored && logprob > rounding * static_cast<double>(tokens))
    return fmt::format("logprob {} above 0 over {} tokens", logprob, tokens);
  if (columns.pairs && rows.is_greedy[i] > (scored ? 1 : 0))
    return fmt::format("is_greedy {} with status {}", rows.is_greedy[i], name_of(status));
  return "";
}

// K log-probabilities, the best first.
std::string impossible_top(const Rows& rows, std::size_t token, std::size_t width) {
  for (std::size_t k = 0; k < width; ++k) {
    const float here = rows.top_logprob[token * width + k];
    if (std::isnan(here) || here > rounding) return fmt::format("top_logprob {} in place {}", here, k);
    if (k > 0 && here > rows.top_logprob[token * width + k - 1])
      return fmt::format("top_logprob {} in place {} after {}", here, k, rows.top_logprob[token * width + k - 1]);
  }
  return "";
}

std::string impossible_token(const Rows& rows, std::size_t t, const Columns& columns) {
  const float logprob = rows.token_logprob[t];
  if (!std::isfinite(logprob) || logprob > rounding) return fmt::format("logprob {}", logprob);
  if (rows.token_entropy[t] < -rounding) return fmt::format("entropy {}", rows.token_entropy[t]);
  return impossible_top(rows, t, static_cast<std::size_t>(columns.top_k));
}

std::string impossible_tokens(const Rows& rows, std::size_t i, const Columns& columns) {
  const Status status = rows.status[i];
  const std::uint64_t begin = rows.token_offsets[i], end = rows.token_offsets[i + 1];
  if (std::cmp_not_equal(end - begin, rows.tokens[i]))
    return fmt::format("{} of {} tokens in /token", end - begin, rows.tokens[i]);
  double sum = 0;
  bool greedy = true;
  for (std::uint64_t t = begin; t < end; ++t) {
    if (rows.token_rank[t] < 0) return fmt::format("rank {} of token {}", rows.token_rank[t], t - begin);
    if (is_scored(status)) {
      if (const std::string what = impossible_token(rows, t, columns); !what.empty())
        return fmt::format("{} of token {} with status {}", what, t - begin, name_of(status));
    }
    sum += rows.token_logprob[t];
    greedy = greedy && rows.token_rank[t] == 0;
  }
  if (status == Status::nan && std::isfinite(sum)) return fmt::format("status nan, but its tokens' sum is {}", sum);
  if (!is_scored(status)) return "";
  if (std::abs(sum - rows.logprob[i]) > sum_rounding * std::max(1.0, std::abs(sum)))
    return fmt::format("logprob {}, but its tokens' sum is {}", rows.logprob[i], sum);
  if (columns.pairs && (rows.is_greedy[i] != 0) != greedy)
    return fmt::format("is_greedy {}, but its tokens' ranks say {}", rows.is_greedy[i], greedy ? 1 : 0);
  return "";
}

}  // namespace

std::string impossible(const Rows& rows, std::size_t i, const Columns& columns) {
  const std::string what = impossible_document(rows, i, columns);
  return what.empty() && columns.per_token ? impossible_tokens(rows, i, columns) : what;
}

std::string impossible_reasons(const Rows& rows) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < rows.status.size(); ++i) {
    const std::int64_t document = rows.first + static_cast<std::int64_t>(i);
    const bool told = next < rows.rejects.size() && rows.rejects[next].document == document;
    next += told;
    if (told != (rows.status[i] == Status::rejected)) {
      return fmt::format("{} reason for document {} with status {}", told ? "a" : "no", document,
                         name_of(rows.status[i]));
    }
  }
  if (next == rows.rejects.size()) return "";
  return fmt::format("a reason for document {}, out of order or outside {} to {}", rows.rejects[next].document,
                     rows.first, rows.first + rows.count() - 1);
}

}  // namespace thresher::store
