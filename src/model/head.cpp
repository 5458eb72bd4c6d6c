#include "model/head.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "thresher/comm/ending.h"
#include "thresher/model/partition.h"
#include "thresher/model/precision.h"

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

std::int64_t part_bytes(const Capacity& capacity) {
  return 3 * Arena::bytes_of(DType::f32, virtual_shards, capacity.tokens) +
         3 * Arena::bytes_of(DType::f32, 1, capacity.tokens) +
         2 * Arena::bytes_of(DType::f32, capacity.tokens, capacity.top_k);
}

device::ScoreParts take_parts(Arena& arena, std::int64_t segments, std::int64_t rows, std::int32_t top_k) {
  device::ScoreParts parts{.reference = arena.take(DType::f32, segments, rows),
                           .sum = arena.take(DType::f32, segments, rows),
                           .weighted = arena.take(DType::f32, segments, rows),
                           .above = arena.take(DType::i32, 1, rows),
                           .found = arena.take(DType::f32, 1, rows),
                           .top_id = {},
                           .top_logit = {}};
  if (top_k == 0) return parts;
  parts.top_id = arena.take(DType::i32, rows, top_k);
  parts.top_logit = arena.take(DType::f32, rows, top_k);
  return parts;
}

template <class T>
std::vector<T> values_of(const Tensor& x) {
  return {x.as<const T>(), x.as<const T>() + x.elements()};
}

Tensor host_row(const std::vector<std::uint32_t>& bits) {
  return tensor::row_vector(const_cast<std::uint32_t*>(bits.data()), DType::f32,
                            static_cast<std::int64_t>(bits.size()));
}

}  // namespace

// What one rank knows about the scored rows; all that is merged with the other ranks'.
struct Scoring::Answer {
  std::vector<SoftmaxPart> softmax;
  std::vector<std::int32_t> above;
  std::vector<std::uint32_t> found;  // f32 bits
  std::vector<std::int32_t> top_id;
  std::vector<float> top_logit;
};

Scoring::Scoring(device::Device& device, comm::Comm& tensor, const Head& head, const Capacity& capacity)
    : device_(device), tensor_(tensor), head_(head), arena_(device.allocate_host(part_bytes(capacity))) {}

void Scoring::begin(const Pass& pass, const HeadQuestion& question) {
  question_ = question;
  const std::int64_t rows = question.targets.columns, segments = static_cast<std::int64_t>(head_.cuts.size()) - 1;
  arena_.reset();
  host_parts_ = take_parts(arena_, segments, rows, question.top_k);
  host_expected_ = arena_.take(DType::f32, 1, rows);
  parts_ = take_parts(pass.arena, segments, rows, question.top_k);
  expected_ = pass.arena.take(DType::f32, 1, rows);
  device_.norm(question.residual, question.rows, head_.norm.view, pass.norm_epsilon, question.hidden);
  device_.target_logits(question.hidden, *head_.weight, question.targets, head_.first_id, expected_);
  if (pass.sums.size() > 1) pass.sums.unite(expected_);
  ask();
}

void Scoring::ask() {
  device_.score(
      question_.hidden, *head_.weight,
      {.targets = question_.targets, .first_id = head_.first_id, .cuts = head_.cuts, .target_logits = expected_},
      parts_);
  device_.queue_download(expected_, host_expected_);
  for (const auto part : {&device::ScoreParts::reference, &device::ScoreParts::sum, &device::ScoreParts::weighted,
                          &device::ScoreParts::above, &device::ScoreParts::found, &device::ScoreParts::top_id,
                          &device::ScoreParts::top_logit})
    if (parts_.*part) device_.queue_download(parts_.*part, host_parts_.*part);
}

// Later batches may have used the arena's memory in the meantime: what they queued there is done before this.
void Scoring::ask_again(const std::vector<std::uint32_t>& expected) {
  device_.upload(question_.host_targets, question_.targets);
  device_.upload(host_row(expected), expected_);
  ask();
  device_.finish();
  comm::throw_if_cancelled();
}

Scoring::Answer Scoring::answer() {
  const std::int64_t rows = question_.targets.columns;
  const std::size_t segments = head_.cuts.size() - 1;
  Answer answer{std::vector<SoftmaxPart>(static_cast<std::size_t>(rows)),
                values_of<std::int32_t>(host_parts_.above),
                values_of<std::uint32_t>(host_parts_.found),
                {},
                {}};
  std::array<SoftmaxPart, virtual_shards> parts;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::size_t s = 0; s < segments; ++s) {
      const auto value = [&](const Tensor& x) { return x.row<const float>(static_cast<std::int64_t>(s))[r]; };
      parts[s] = {value(host_parts_.reference), value(host_parts_.sum), value(host_parts_.weighted)};
    }
    answer.softmax[static_cast<std::size_t>(r)] = device::merge(std::span<const SoftmaxPart>(parts).first(segments));
  }
  if (question_.top_k > 0) {
    answer.top_id = values_of<std::int32_t>(host_parts_.top_id);
    answer.top_logit = values_of<float>(host_parts_.top_logit);
  }
  tensor_.all_reduce_bits(answer.found);
  merge_with_others(answer);
  return answer;
}

// By neighbours, then neighbours of pairs: the upper levels of the tree over the virtual shards. Both sides of a pair
// compute the same, the lower rank's part first.
void Scoring::merge_with_others(Answer& answer) {
  comm::Comm& ranks = tensor_;
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
    if (question_.top_k == 0) continue;
    ranks.exchange(peer, bytes_of(answer.top_id), bytes_of(other.top_id));
    ranks.exchange(peer, bytes_of(answer.top_logit), bytes_of(other.top_logit));
    const auto k = static_cast<std::size_t>(question_.top_k);
    for (std::size_t at = 0; at < answer.top_id.size(); at += k)
      device::merge({std::span(answer.top_id).subspan(at, k), std::span(answer.top_logit).subspan(at, k)},
                    {std::span(other.top_id).subspan(at, k), std::span(other.top_logit).subspan(at, k)});
  }
}

// Once more where the tiles hold other bits than the targets' own products: ranks are counted against the tiles'.
void Scoring::finish(ScoredTokens& out) {
  Answer whole = answer();
  if (whole.found != values_of<std::uint32_t>(host_expected_)) {
    ask_again(whole.found);
    whole = answer();
  }
  const std::size_t count = whole.softmax.size(), k = static_cast<std::size_t>(question_.top_k);
  out.logprob.resize(count);
  out.entropy.resize(count);
  out.top_logprob.resize(count * k);
  for (std::size_t r = 0; r < count; ++r) {
    const SoftmaxPart& softmax = whole.softmax[r];
    float logit;
    std::memcpy(&logit, &whole.found[r], sizeof logit);
    out.logprob[r] = device::logprob_of(softmax, logit);
    out.entropy[r] = device::entropy_of(softmax);
    for (std::size_t i = r * k; i < (r + 1) * k; ++i)
      out.top_logprob[i] = whole.top_id[i] < 0 ? whole.top_logit[i] : device::logprob_of(softmax, whole.top_logit[i]);
  }
  out.rank = std::move(whole.above);
  out.top_id = std::move(whole.top_id);
}

std::int64_t Head::scratch_bytes(const Capacity& capacity) {
  return part_bytes(capacity);
}

std::int64_t Head::rows_bytes(const ModelConfig& config, DType dtype, const Capacity& capacity) {
  const std::int64_t plain = Arena::bytes_of(dense(dtype), capacity.tokens, config.hidden);
  return dtype == DType::i8 ? std::max(plain, Arena::bytes_of_quantised(capacity.tokens, config.hidden, 1)) : plain;
}

}  // namespace thresher::model
