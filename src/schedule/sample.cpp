#include "schedule/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "thresher/base/check.h"
#include "thresher/base/hash.h"

namespace thresher::schedule {
namespace {

constexpr std::int64_t most_draws = 1024;
constexpr std::int64_t most_seen = 16 * sample_tokens;  // tokens of drawn documents, taken or not
constexpr double normal_95 = 1.959963984540054;

std::int64_t draw(const std::string& identity, std::int64_t index, std::int64_t documents) {
  const base::Digest digest = base::digest_of(fmt::format("int8 sample\n{}\n{}", identity, index));
  std::uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number = number << 8 | digest.bytes[static_cast<std::size_t>(i)];
  return static_cast<std::int64_t>(number % static_cast<std::uint64_t>(documents));
}

// Sums of one document.
struct Sums {
  double tokens = 0, difference = 0;
};

}  // namespace

std::vector<engine::EncodedShard> draw_sample(store::Source& corpus, const std::string& identity,
                                              const engine::EncodePolicy& policy) {
  const std::int64_t documents = corpus.info().documents;
  std::vector<engine::EncodedShard> sample;
  std::optional<engine::EncodedShard> shortest;
  std::set<std::int64_t> drawn;
  std::int64_t tokens = 0, seen = 0;
  for (std::int64_t i = 0; documents > 0 && i < most_draws && seen < most_seen && tokens < sample_tokens; ++i) {
    if (static_cast<std::int64_t>(sample.size()) == sample_documents) break;
    const std::int64_t document = draw(identity, i, documents);
    if (!drawn.insert(document).second) continue;
    engine::EncodedShard one =
        engine::encode(corpus.read(document, 1), static_cast<std::int64_t>(sample.size()), policy);
    const std::int64_t length = one.length(0);
    seen += length;
    if (one.items.front().status != store::Status::ok || length == 0) continue;
    if (length > sample_tokens) {
      if (!shortest || length < shortest->length(0)) shortest = std::move(one);
      continue;
    }
    tokens += length;
    sample.push_back(std::move(one));
  }
  if (sample.empty() && shortest) sample.push_back(std::move(*shortest));
  return sample;
}

Int8Error compare(std::span<const store::Rows> in_int8, std::span<const store::Rows> in_bf16) {
  Int8Error error;
  std::vector<Sums> documents;
  Sums all;
  double magnitude = 0;
  for (std::size_t d = 0; d < in_int8.size(); ++d) {
    const std::vector<float>&ours = in_int8[d].token_logprob, &theirs = in_bf16[d].token_logprob;
    if (ours.size() != theirs.size())
      base::fail(base::Exit::internal, fmt::format("a document of the sample has {} tokens in int8 and {} in bf16",
                                                   ours.size(), theirs.size()));
    if (ours.empty() || !std::isfinite(in_int8[d].logprob.front()) || !std::isfinite(in_bf16[d].logprob.front()))
      continue;
    Sums sums{.tokens = static_cast<double>(ours.size())};
    for (std::size_t t = 0; t < ours.size(); ++t) {
      const double difference = static_cast<double>(theirs[t]) - static_cast<double>(ours[t]);
      sums.difference += difference;
      magnitude += std::abs(difference);
      error.greatest = std::max(error.greatest, std::abs(difference));
    }
    all.tokens += sums.tokens;
    all.difference += sums.difference;
    documents.push_back(sums);
  }
  error.documents = static_cast<std::int64_t>(documents.size());
  error.tokens = static_cast<std::int64_t>(all.tokens);
  if (documents.empty()) return error;
  const double mean = all.difference / all.tokens, count = static_cast<double>(documents.size());
  error.mean = magnitude / all.tokens;
  error.ratio = std::exp(mean);
  if (documents.size() < 2) return error;
  // The variance of a ratio of sums over documents (Cochran, Sampling Techniques, 1977, section 6.3).
  double squares = 0;
  for (const Sums& one : documents) squares += std::pow(one.difference - mean * one.tokens, 2);
  const double width = normal_95 * std::sqrt(squares * count / (count - 1)) / all.tokens;
  error.interval = {std::exp(mean - width), std::exp(mean + width)};
  return error;
}

}  // namespace thresher::schedule
