#include "device/cuda/runtime/attention_trial.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "device/cuda/kernels/kernels.h"
#include "thresher/base/half.h"

namespace thresher::device::cuda {
namespace {

constexpr std::int64_t query_heads = 6, kv_heads = 2, group = query_heads / kv_heads;
constexpr std::int64_t timed_query_heads = 16, timed_kv_heads = 4;
// The heads of a rank that holds a part of them: from this query head on, to the last but one.
constexpr std::int64_t part_first = 2, part_heads = 3;
constexpr std::int64_t guard_rows = 64;    // behind the last sequence: nobody writes there
constexpr std::int64_t random_rows = 509;  // the others repeat them, out of step with tiles
constexpr int poison = 0xff;
constexpr std::int64_t more_sequences = 200, more_rows = 3000;  // of a bucket that nothing asks for
constexpr int timed_calls = 5;
// Of results of about 0.5, whose inputs are rounded to 8 bits on one side and not on the other.
constexpr float tolerance = 0.03f;

std::vector<std::int32_t> starts_of(std::span<const std::int32_t> lengths) {
  std::vector<std::int32_t> starts{0};
  for (const std::int32_t length : lengths) starts.push_back(starts.back() + length);
  return starts;
}

bool near(std::uint16_t left, std::uint16_t right) {
  return left == right || std::abs(base::from_bf16(left) - base::from_bf16(right)) <= tolerance;
}

}  // namespace

AttentionTrial::AttentionTrial(int gpu, cudaStream_t stream, Packing& packing, const AttentionKey& key,
                               const TrialSizes& sizes)
    : stream_(stream), packing_(packing), key_(key), sizes_(sizes), copies_(stream) {
  checked_rows_ = std::accumulate(sizes.lengths.begin(), sizes.lengths.end(), std::int64_t{0});
  const std::int64_t total = std::max(checked_rows_, sizes.timed_rows) + guard_rows;
  const std::int64_t width = (timed_query_heads + 2 * timed_kv_heads) * key.head_size;
  all_ = device_buffer(gpu, total * width * tensor::size_of(key.in));
  out_ = device_buffer(gpu, total * timed_query_heads * key.head_size * tensor::size_of(DType::bf16));
  starts_ = device_buffer(gpu, (sizes.timed_rows + static_cast<std::int64_t>(sizes.lengths.size()) + 1) * 4);
  std::mt19937 generator(7);
  std::vector<float> values(static_cast<std::size_t>(std::min(random_rows, total) * width));
  for (float& value : values) value = static_cast<float>(generator()) * 0x1p-31f - 1;
  const Tensor all = tensor::matrix(all_.data(), key.in, total, width);
  for (std::int64_t r = 0; r < total; r += random_rows) {
    const std::int64_t rows = std::min(random_rows, total - r);
    copies_.upload_as(tensor::matrix(values.data(), DType::f32, rows, width), all.rows_from(r, rows));
  }
}

AttentionCall AttentionTrial::call(std::span<const std::int32_t> starts, std::int64_t heads, std::int64_t kv) {
  const std::int64_t size = key_.head_size, q = heads * size, k = kv * size, rows = starts.back();
  std::int32_t longest = 0;
  for (std::size_t i = 1; i < starts.size(); ++i) longest = std::max(longest, starts[i] - starts[i - 1]);
  const auto count = static_cast<std::int64_t>(starts.size()) - 1;
  const Tensor there = tensor::row_vector(starts_.data(), DType::i32, count + 1);
  copies_.upload(tensor::row_vector(const_cast<std::int32_t*>(starts.data()), DType::i32, count + 1), there);
  const Tensor all = tensor::matrix(all_.data(), key_.in, rows, q + 2 * k);
  return {.q = all.columns_from(0, q),
          .k = all.columns_from(q, k),
          .v = all.columns_from(q + k, k),
          .sequences = {there, count, longest, starts},
          .options = {.query_heads = heads,
                      .kv_heads = kv,
                      .head_size = size,
                      .scale = 4 / std::sqrt(static_cast<float>(size))},
          .out = tensor::matrix(out_.data(), DType::bf16, rows, q)};
}

AttentionTrial::Bits AttentionTrial::bits(const AttentionCall& call, const Engine* engine, std::int64_t least_sequences,
                                          std::int64_t least_rows) {
  check(cudaMemsetAsync(out_.data(), poison, static_cast<std::size_t>(out_.bytes()), stream_), "clearing memory");
  if (engine) {
    packing_.run(call, *engine, least_sequences, least_rows);
  } else {
    attend(call.q, call.k, call.v, call.sequences, call.options, call.out, stream_);
  }
  const std::int64_t rows = checked_rows_ + guard_rows, columns = query_heads * key_.head_size;
  Bits found(static_cast<std::size_t>(rows * columns));
  copies_.download(tensor::matrix(out_.data(), DType::bf16, rows, columns),
                   tensor::matrix(found.data(), DType::bf16, rows, columns));
  return found;
}

std::optional<std::string> AttentionTrial::objection(const Engine& engine) {
  const std::vector<std::int32_t> starts = starts_of(sizes_.lengths);
  const AttentionCall whole = call(starts, query_heads, kv_heads);
  const Bits own = bits(whole, nullptr, 0, 0), all = bits(whole, &engine, 0, 0);
  if (!std::ranges::equal(all, own, near)) return "its results are not those of the own kernel";
  if (bits(whole, &engine, 0, 0) != all) return "it gives other bits when it is called again";
  if (bits(whole, &engine, more_sequences, more_rows) != all) return "its bits depend on the bucket";
  const std::int64_t columns = query_heads * key_.head_size;
  const AttentionCall part = part_of(whole);
  const Bits heads = bits(part, &engine, 0, 0);
  for (std::int64_t r = 0; r < checked_rows_; ++r) {
    const auto first = r * columns + part_first * key_.head_size;
    if (!std::equal(heads.begin() + first, heads.begin() + first + part_heads * key_.head_size, all.begin() + first))
      return "a head's bits depend on the others";
  }
  for (std::size_t s = 0; s < sizes_.lengths.size(); ++s) {
    if (sizes_.lengths[s] == 0) continue;
    const std::vector<std::int32_t> own_starts{0, sizes_.lengths[s]};
    AttentionCall alone = call(own_starts, query_heads, kv_heads);
    for (auto [row, from] : {std::pair{&alone.q, &whole.q}, {&alone.k, &whole.k}, {&alone.v, &whole.v}})
      *row = from->rows_from(starts[s], sizes_.lengths[s]);
    const Bits some = bits(alone, &engine, 0, 0);
    if (!std::equal(some.begin(), some.begin() + sizes_.lengths[s] * columns, all.begin() + starts[s] * columns))
      return "a sequence's bits depend on its company";
  }
  return std::nullopt;
}

AttentionCall AttentionTrial::part_of(const AttentionCall& whole) const {
  AttentionCall part = whole;
  part.q = whole.q.columns_from(part_first * key_.head_size, part_heads * key_.head_size);
  part.out = whole.out.columns_from(part_first * key_.head_size, part_heads * key_.head_size);
  part.options.query_heads = part_heads;
  part.options.group = group;
  part.options.skipped = part_first;
  return part;
}

double AttentionTrial::seconds(const Engine* engine) {
  double sum = 0;
  for (const std::int64_t length : sizes_.timed_lengths) {
    const std::vector<std::int32_t> lengths(static_cast<std::size_t>(sizes_.timed_rows / length),
                                            static_cast<std::int32_t>(length));
    const std::vector<std::int32_t> starts = starts_of(lengths);
    const AttentionCall one = call(starts, timed_query_heads, timed_kv_heads);
    const auto compute = [&] {
      if (engine) return packing_.run(one, *engine);
      attend(one.q, one.k, one.v, one.sequences, one.options, one.out, stream_);
    };
    compute();
    const EventHandle begin = make_event(true), end = make_event(true);
    std::vector<float> milliseconds(timed_calls);
    for (float& time : milliseconds) {
      check(cudaEventRecord(begin.raw(), stream_), "timing attention");
      compute();
      check(cudaEventRecord(end.raw(), stream_), "timing attention");
      check(cudaEventSynchronize(end.raw()), "timing attention");
      check(cudaEventElapsedTime(&time, begin.raw(), end.raw()), "timing attention");
    }
    std::ranges::nth_element(milliseconds, milliseconds.begin() + timed_calls / 2);
    sum += static_cast<double>(milliseconds[timed_calls / 2]) * 1e-3;
  }
  return sum;
}

double AttentionTrial::flop() const {
  double sum = 0;
  for (const std::int64_t length : sizes_.timed_lengths)
    sum += 4 * static_cast<double>(timed_query_heads * key_.head_size) * static_cast<double>(length) / 2 *
           static_cast<double>(sizes_.timed_rows / length * length);
  return sum;
}

}  // namespace thresher::device::cuda
