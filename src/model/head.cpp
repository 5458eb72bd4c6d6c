#include "model/head.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "thresher/model/partition.h"

namespace thresher::model {
namespace {

using device::SoftmaxPart;
using tensor::Arena;
using tensor::DType;
using tensor::Tensor;

template <class T>
std::span<std::byte> bytes_of(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

// What one rank knows about the scored rows, on the host; all that is merged with the other ranks'.
struct Answer {
  std::vector<SoftmaxPart> softmax;
  std::vector<std::int32_t> above;
  std::vector<std::uint32_t> found;  // f32 bits
  std::vector<std::int32_t> top_id;
  std::vector<float> top_logit;
};

// The device's side of one call.
class Scoring {
 public:
  Scoring(const Pass& pass, const Head& head, const Tensor& targets, std::int32_t top_k)
      : pass_(pass), head_(head), targets_(targets), rows_(targets.columns), top_k_(top_k) {
    const auto segments = static_cast<std::int64_t>(head.cuts.size()) - 1;
    parts_ = {.reference = pass.arena.take(DType::f32, segments, rows_),
              .sum = pass.arena.take(DType::f32, segments, rows_),
              .weighted = pass.arena.take(DType::f32, segments, rows_),
              .above = pass.arena.take(DType::i32, 1, rows_),
              .found = pass.arena.take(DType::f32, 1, rows_),
              .top_id = {},
              .top_logit = {}};
    expected_ = pass.arena.take(DType::f32, 1, rows_);
    if (top_k == 0) return;
    parts_.top_id = pass.arena.take(DType::i32, rows_, top_k);
    parts_.top_logit = pass.arena.take(DType::f32, rows_, top_k);
  }

  // Once more where the tiles hold other bits than the targets' own products: ranks are counted against the tiles'.
  Answer run(const Tensor& hidden) {
    std::vector<std::uint32_t> expected(static_cast<std::size_t>(rows_));
    pass_.device.target_logits(hidden, *head_.weight, targets_, head_.first_id, expected_);
    unite(expected_, expected);
    Answer answer = attempt(hidden, expected);
    if (answer.found != expected) {
      expected = answer.found;
      answer = attempt(hidden, expected);
    }
    return answer;
  }

 private:
  // The bits of all shards' values, where one holds each and the others zeros.
  void unite(const Tensor& values, std::vector<std::uint32_t>& bits) {
    pass_.device.download(values, tensor::row_vector(bits.data(), DType::f32, rows_));
    pass_.tensor.all_reduce_bits(bits);
  }

  Answer attempt(const Tensor& hidden, std::vector<std::uint32_t>& expected) {
    pass_.device.upload(tensor::row_vector(expected.data(), DType::f32, rows_), expected_);
    pass_.device.score(
        hidden, *head_.weight,
        {.targets = targets_, .first_id = head_.first_id, .cuts = head_.cuts, .target_logits = expected_}, parts_);
    Answer answer = downloaded();
    unite(parts_.found, answer.found);
    merge_with_others(answer);
    return answer;
  }

  Answer downloaded() {
    const auto rows = static_cast<std::size_t>(rows_), top = rows * static_cast<std::size_t>(top_k_);
    const std::size_t segments = head_.cuts.size() - 1;
    Answer answer{std::vector<SoftmaxPart>(rows), std::vector<std::int32_t>(rows), std::vector<std::uint32_t>(rows),
                  std::vector<std::int32_t>(top), std::vector<float>(top)};
    std::array<std::vector<float>, 3> columns;
    const std::array<Tensor, 3> from{parts_.reference, parts_.sum, parts_.weighted};
    for (std::size_t i = 0; i < 3; ++i) {
      columns[i].resize(segments * rows);
      pass_.device.download(from[i], tensor::matrix(columns[i].data(), DType::f32, from[i].rows, rows_));
    }
    std::array<SoftmaxPart, virtual_shards> parts;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t s = 0; s < segments; ++s)
        parts[s] = {columns[0][s * rows + r], columns[1][s * rows + r], columns[2][s * rows + r]};
      answer.softmax[r] = device::merge(std::span<const SoftmaxPart>(parts).first(segments));
    }
    pass_.device.download(parts_.above, tensor::row_vector(answer.above.data(), DType::i32, rows_));
    if (top_k_ == 0) return answer;
    pass_.device.download(parts_.top_id, tensor::matrix(answer.top_id.data(), DType::i32, rows_, top_k_));
    pass_.device.download(parts_.top_logit, tensor::matrix(answer.top_logit.data(), DType::f32, rows_, top_k_));
    return answer;
  }

  // By neighbours, then neighbours of pairs: the upper levels of the tree over the virtual shards. Both sides of a pair
  // compute the same, the lower rank's part first.
  void merge_with_others(Answer& answer) {
    comm::Comm& ranks = pass_.tensor;
    Answer other = answer;
    for (int distance = 1; distance < ranks.size(); distance *= 2) {
      const int peer = ranks.rank() ^ distance;
      const bool lower = ranks.rank() < peer;
      ranks.exchange(peer, bytes_of(answer.softmax), bytes_of(other.softmax));
      ranks.exchange(peer, bytes_of(answer.above), bytes_of(other.above));
      for (std::size_t r = 0; r < answer.softmax.size(); ++r) {
        const SoftmaxPart mine = answer.softmax[r], theirs = other.softmax[r];
        answer.softmax[r] = lower ? device::merge(mine, theirs) : device::merge(theirs, mine);
        answer.above[r] += other.above[r];
      }
      if (top_k_ == 0) continue;
      ranks.exchange(peer, bytes_of(answer.top_id), bytes_of(other.top_id));
      ranks.exchange(peer, bytes_of(answer.top_logit), bytes_of(other.top_logit));
      const auto k = static_cast<std::size_t>(top_k_);
      for (std::size_t at = 0; at < answer.top_id.size(); at += k)
        device::merge({std::span(answer.top_id).subspan(at, k), std::span(answer.top_logit).subspan(at, k)},
                      {std::span(other.top_id).subspan(at, k), std::span(other.top_logit).subspan(at, k)});
    }
  }

  const Pass& pass_;
  const Head& head_;
  const Tensor& targets_;
  const std::int64_t rows_;
  const std::int32_t top_k_;
  device::ScoreParts parts_;
  Tensor expected_;
};

}  // namespace

void Head::score(const Pass& pass, const Tensor& residual, const Tensor& rows, const Tensor& targets,
                 std::int32_t top_k, ScoredTokens& out) const {
  const Tensor hidden = pass.arena.take(pass.dtype, targets.columns, residual.columns);
  pass.device.norm(residual, rows, norm.view, pass.norm_epsilon, hidden);
  Answer answer = Scoring(pass, *this, targets, top_k).run(hidden);
  const std::size_t count = answer.softmax.size(), k = static_cast<std::size_t>(top_k);
  out.logprob.resize(count);
  out.entropy.resize(count);
  out.top_logprob.resize(count * k);
  for (std::size_t r = 0; r < count; ++r) {
    const SoftmaxPart& whole = answer.softmax[r];
    float logit;
    std::memcpy(&logit, &answer.found[r], sizeof logit);
    out.logprob[r] = device::logprob_of(whole, logit);
    out.entropy[r] = device::entropy_of(whole);
    for (std::size_t i = r * k; i < (r + 1) * k; ++i)
      out.top_logprob[i] = answer.top_id[i] < 0 ? answer.top_logit[i] : device::logprob_of(whole, answer.top_logit[i]);
  }
  out.rank = std::move(answer.above);
  out.top_id = std::move(answer.top_id);
}

std::int64_t Head::scratch_bytes(const ModelConfig& config, DType dtype, const Capacity& capacity) {
  const std::int64_t tokens = capacity.tokens;
  return Arena::bytes_of(dtype, tokens, config.hidden) + 3 * Arena::bytes_of(DType::f32, virtual_shards, tokens) +
         3 * Arena::bytes_of(DType::f32, 1, tokens) + 2 * Arena::bytes_of(DType::f32, tokens, capacity.top_k);
}

}  // namespace thresher::model
