#include "thresher/device/bench.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <random>

#include "thresher/base/half.h"
#include "thresher/device/tracing.h"

namespace thresher::device {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double bytes_of(const Tensor& x) {
  return static_cast<double>(x.elements() * tensor::size_of(x.dtype));
}

// A batch's operands: random numbers in every place that a step reads.
std::vector<std::int64_t> cuts_of(std::int64_t inputs, std::int64_t pieces) {
  std::vector<std::int64_t> cuts;
  for (std::int64_t i = 0; i <= pieces; ++i) cuts.push_back(inputs * i / pieces);
  return cuts;
}

class Workbench {
 public:
  Workbench(Device& device, const BenchShape& shape, DType dtype, double seconds)
      : device_(device),
        shape_(shape),
        products_(dtype),
        dtype_(dtype == DType::i8 ? DType::bf16 : dtype),
        seconds_(seconds) {
    for (std::int64_t at = 0; at < shape.tokens; at += shape.sequence_length)
      lengths_.push_back(std::min(shape.sequence_length, shape.tokens - at));
  }

  BenchReport run();

 private:
  Tensor values(DType dtype, std::int64_t rows, std::int64_t columns, float scale = 1);
  template <class Value>
  Tensor integers(std::int64_t columns, const Value& value);
  // What a product reads: `values`, or where products are in int8 bytes that stand for some.
  Tensor inputs(DType held, std::int64_t columns, std::span<const std::int64_t> cuts);
  std::unique_ptr<Weight> weight(std::int64_t outputs, std::int64_t inputs, DType dtype,
                                 std::span<const std::int64_t> cuts = {});

  template <class Body>
  double median_seconds(const Body& body);
  template <class Body>
  void step(const char* name, std::int64_t calls, double flop, double bytes, const Body& body);
  void product(const char* name, std::int64_t outputs, std::int64_t inputs, bool accumulate);
  void rows_steps();
  void gated_step();
  void attend_step();
  void score_step();
  void measure_memory();

  Device& device_;
  const BenchShape& shape_;
  DType products_;  // of the layers
  DType dtype_;     // of everything else
  double seconds_;
  std::vector<std::int64_t> lengths_;
  std::vector<Buffer> buffers_;
  std::mt19937 generator_{1};
  BenchReport report_;
};

// Rows are windows into one block of random numbers, each from another place on: drawing every number anew would take
// longer than the steps themselves on a GPU.
Tensor Workbench::values(DType dtype, std::int64_t rows, std::int64_t columns, float scale) {
  constexpr std::int64_t spare = 1 << 16;
  std::uniform_real_distribution<float> uniform(-scale, scale);
  const std::int64_t width = tensor::size_of(dtype);
  const Buffer drawn = tensor::host_buffer((columns + spare) * width);
  const Tensor numbers = tensor::row_vector(drawn.data(), dtype, columns + spare);
  for (std::int64_t i = 0; i < columns + spare; ++i) {
    const float x = uniform(generator_);
    if (dtype == DType::bf16) {
      numbers.row<std::uint16_t>(0)[i] = base::to_bf16(x);
    } else {
      numbers.row<float>(0)[i] = x;
    }
  }
  const Buffer host = tensor::host_buffer(rows * columns * width);
  const Tensor source = tensor::matrix(host.data(), dtype, rows, columns);
  for (std::int64_t r = 0; r < rows; ++r)
    std::memcpy(source.row<std::byte>(r), static_cast<const std::byte*>(drawn.data()) + r * 7919 % spare * width,
                static_cast<std::size_t>(columns * width));
  buffers_.push_back(device_.allocate(host.bytes()));
  const Tensor there = tensor::matrix(buffers_.back().data(), dtype, rows, columns);
  device_.upload(source, there);
  return there;
}

template <class Value>
Tensor Workbench::integers(std::int64_t columns, const Value& value) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(columns));
  for (std::int64_t c = 0; c < columns; ++c) numbers[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(value(c));
  buffers_.push_back(device_.allocate(columns * 4));
  const Tensor there = tensor::row_vector(buffers_.back().data(), DType::i32, columns);
  device_.upload(tensor::row_vector(numbers.data(), DType::i32, columns), there);
  return there;
}

std::unique_ptr<Weight> Workbench::weight(std::int64_t outputs, std::int64_t inputs, DType dtype,
                                          std::span<const std::int64_t> cuts) {
  const Tensor matrix = values(dtype_, outputs, inputs, 0.05f);
  const Buffer host = tensor::host_buffer(outputs * inputs * tensor::size_of(dtype_));
  const Tensor copy = tensor::matrix(host.data(), dtype_, outputs, inputs);
  device_.download(matrix, copy);
  buffers_.pop_back();
  return device_.pack(copy, dtype, cuts);
}

Tensor Workbench::inputs(DType held, std::int64_t columns, std::span<const std::int64_t> cuts) {
  if (held != DType::i8) return values(dtype_, shape_.tokens, columns);
  const auto pieces = static_cast<std::int64_t>(cuts.size()) - 1;
  const Tensor from = values(DType::f32, shape_.tokens, columns), gain = values(DType::f32, 1, columns);
  buffers_.push_back(device_.allocate(shape_.tokens * columns));
  Tensor bytes = tensor::matrix(buffers_.back().data(), DType::i8, shape_.tokens, columns);
  buffers_.push_back(
      device_.allocate(shape_.tokens * pieces * static_cast<std::int64_t>(sizeof(tensor::QuantisedPiece))));
  bytes.pieces = static_cast<tensor::QuantisedPiece*>(buffers_.back().data());
  bytes.cuts = cuts;
  device_.norm(from, {}, gain, 1e-5f, bytes);
  return bytes;
}

template <class Body>
double Workbench::median_seconds(const Body& body) {
  body();
  device_.finish();
  std::vector<double> taken;
  const double end = seconds_now() + seconds_;
  do {
    double& seconds = taken.emplace_back(0);
    device_.time(seconds, body);
    device_.finish();
  } while (seconds_now() < end || taken.size() < 3);
  std::nth_element(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(taken.size() / 2), taken.end());
  return taken[taken.size() / 2];
}

template <class Body>
void Workbench::step(const char* name, std::int64_t calls, double flop, double bytes, const Body& body) {
  report_.rows.push_back({.step = name, .calls = calls, .seconds = median_seconds(body), .flop = flop, .bytes = bytes});
}

void Workbench::measure_memory() {
  const std::size_t mark = buffers_.size();
  const Tensor x = values(DType::f32, 4096, 4096), sum = values(DType::f32, 4096, 4096);
  report_.memory = 3 * bytes_of(x) / median_seconds([&] { device_.add(x, {}, sum); });
  buffers_.resize(mark);
}

// Products that add to the residual stream are in eight pieces of their inputs, as in a job whose bits do not depend on
// the ranks that share a layer.
void Workbench::product(const char* name, std::int64_t outputs, std::int64_t inputs, bool accumulate) {
  const std::size_t mark = buffers_.size();
  const std::vector<std::int64_t> cuts = cuts_of(inputs, accumulate && shape_.pieces ? 8 : 1);
  const std::unique_ptr<Weight> matrix = weight(outputs, inputs, products_, cuts);
  const Tensor x = this->inputs(products_, inputs, cuts), out = values(DType::f32, shape_.tokens, outputs);
  step(name, shape_.layers, 2.0 * static_cast<double>(x.elements()) * static_cast<double>(outputs),
       bytes_of(x) + bytes_of(out) * (accumulate ? 2 : 1) + static_cast<double>(matrix->bytes()),
       [&] { device_.matmul(x, *matrix, {}, accumulate, out); });
  buffers_.resize(mark);
}

void Workbench::rows_steps() {
  const std::size_t mark = buffers_.size();
  const std::int64_t tokens = shape_.tokens, rotated = (shape_.query_heads + shape_.kv_heads) * shape_.head_size;
  const std::vector<std::int64_t> width = cuts_of(shape_.width, 1);
  const Tensor residual = values(DType::f32, tokens, shape_.width), normed = inputs(products_, shape_.width, width);
  const Tensor table = values(dtype_, std::min<std::int64_t>(shape_.vocabulary, 32768), shape_.width);
  const Tensor gain = values(DType::f32, 1, shape_.width),
               ids = integers(tokens, [&](auto t) { return t * 7919 % table.rows; });
  step("embed", 1, 0, bytes_of(normed) + bytes_of(residual), [&] { device_.embed(ids, table, 0, residual); });
  // Only where ranks share a layer: no call of it in this batch.
  const Tensor sum = values(DType::f32, tokens, shape_.width);
  step("add", 0, 0, bytes_of(sum) + 2 * bytes_of(residual), [&] { device_.add(sum, {}, residual); });
  step("norm", 2 * shape_.layers + 1, 0, bytes_of(normed) + bytes_of(residual),
       [&] { device_.norm(residual, {}, gain, 1e-5f, normed); });

  const Tensor qk = values(DType::f32, tokens, rotated);
  const Tensor cos = values(DType::f32, shape_.sequence_length, shape_.head_size / 2),
               sin = values(DType::f32, shape_.sequence_length, shape_.head_size / 2);
  const Tensor positions = integers(tokens, [&](auto t) { return t % shape_.sequence_length; });
  step("rope", shape_.layers, 0, 2 * bytes_of(qk), [&] {
    device_.rope(qk,
                 {.rows = positions, .cos = cos, .sin = sin, .head_size = shape_.head_size, .gain = {}, .epsilon = 0});
  });
  buffers_.resize(mark);
}

// The gate's time is taken off the products' where the device does both at once.
void Workbench::gated_step() {
  const std::size_t mark = buffers_.size();
  const std::vector<std::int64_t> whole = cuts_of(shape_.width, 1), cuts = cuts_of(shape_.inner, shape_.pieces ? 8 : 1);
  const std::unique_ptr<Weight> matrix = weight(2 * shape_.inner, shape_.width, products_, whole);
  const Tensor x = inputs(products_, shape_.width, whole), wide = values(dtype_, shape_.tokens, 2 * shape_.inner),
               out = inputs(products_, shape_.inner, cuts);
  const double flop = 4.0 * static_cast<double>(x.elements()) * static_cast<double>(shape_.inner),
               bytes = bytes_of(x) + static_cast<double>(matrix->bytes());
  if (!device_.gate_seconds()) {
    step("gate", shape_.layers, 0, bytes_of(wide) + bytes_of(out), [&] { device_.gate(wide, Activation::silu, out); });
    step("matmul gate+up", shape_.layers, flop, bytes + bytes_of(wide),
         [&] { device_.matmul(x, *matrix, {}, false, wide); });
  } else {
    const double before = *device_.gate_seconds();
    double all = 0;
    step("matmul gate+up", shape_.layers, flop, bytes,
         [&] { device_.time(all, [&] { device_.matmul_gate(x, *matrix, {}, Activation::silu, wide, out); }); });
    const double gate = report_.rows.back().seconds * (*device_.gate_seconds() - before) / all;
    report_.rows.back().seconds -= gate;
    report_.rows.push_back(
        {.step = "gate", .calls = shape_.layers, .seconds = gate, .flop = 0, .bytes = bytes_of(out)});
  }
  buffers_.resize(mark);
}

void Workbench::attend_step() {
  const std::size_t mark = buffers_.size();
  const std::int64_t q = shape_.query_heads * shape_.head_size, kv = shape_.kv_heads * shape_.head_size;
  // As the model has them: rounded queries and keys move scores too far.
  const Tensor all = values(DType::f32, shape_.tokens, q + 2 * kv), out = values(dtype_, shape_.tokens, q);
  const auto count = static_cast<std::int64_t>(lengths_.size());
  const Tensor starts =
      integers(count + 1, [&](auto i) { return std::min(i * shape_.sequence_length, shape_.tokens); });
  const AttendOptions options{shape_.query_heads, shape_.kv_heads, shape_.head_size, 0.125f, 0};
  step("attend", shape_.layers, 4.0 * static_cast<double>(q) * attended_pairs(lengths_, 0),
       bytes_of(all) + bytes_of(out), [&] {
         device_.attend(all.columns_from(0, q), all.columns_from(q, kv), all.columns_from(q + kv, kv),
                        {starts, count, lengths_.front()}, options, out);
       });
  buffers_.resize(mark);
}

// As a job asks: ranks and entropies, the vocabulary in segments.
void Workbench::score_step() {
  const std::size_t mark = buffers_.size();
  const std::int64_t rows = shape_.tokens;
  const DType held = shape_.int8_head && products_ == DType::i8 ? DType::i8 : dtype_;
  const std::int64_t whole[] = {0, shape_.width};
  const std::unique_ptr<Weight> head = weight(shape_.vocabulary, shape_.width, held);
  const Tensor hidden = inputs(held, shape_.width, whole), expected = values(DType::f32, 1, rows);
  const Tensor targets = integers(rows, [&](auto t) { return t * 104729 % shape_.vocabulary; });
  const ScoreParts parts{.reference = values(DType::f32, vocabulary_segments, rows),
                         .sum = values(DType::f32, vocabulary_segments, rows),
                         .weighted = values(DType::f32, vocabulary_segments, rows),
                         .above = integers(rows, [](auto) { return 0; }),
                         .found = values(DType::f32, 1, rows),
                         .top_id = {},
                         .top_logit = {}};
  device_.reserve(rows, rows, 0);
  step("target_logits", 1, 0, 2 * bytes_of(hidden),
       [&] { device_.target_logits(hidden, *head, targets, 0, expected); });
  const auto cuts = vocabulary_cuts(shape_.vocabulary);
  const ScoreTime before = device_.score_time();
  step("score", 1, 2.0 * static_cast<double>(hidden.elements()) * static_cast<double>(shape_.vocabulary),
       bytes_of(hidden) + static_cast<double>(head->bytes()), [&] {
         device_.score(hidden, *head, {.targets = targets, .first_id = 0, .cuts = cuts, .target_logits = expected},
                       parts);
       });
  const ScoreTime after = device_.score_time();
  report_.score_product_seconds =
      report_.rows.back().seconds * (after.products - before.products) / (after.total - before.total);
  buffers_.resize(mark);
}

BenchReport Workbench::run() {
  report_.peak = device_.measure_peak(products_, seconds_);
  measure_memory();
  const std::int64_t q = shape_.query_heads * shape_.head_size, kv = shape_.kv_heads * shape_.head_size;
  rows_steps();
  product("matmul qkv", q + 2 * kv, shape_.width, false);
  attend_step();
  product("matmul output", shape_.width, q, true);
  gated_step();
  product("matmul down", shape_.width, shape_.inner, true);
  score_step();
  report_.peak = std::max(report_.peak, device_.measure_peak(products_, seconds_));
  for (BenchRow& row : report_.rows) {
    row.peak_share = row.flop / row.seconds / report_.peak;
    row.memory_share = row.bytes / row.seconds / report_.memory;
  }
  return std::move(report_);
}

}  // namespace

double BenchReport::seconds() const {
  return std::accumulate(rows.begin(), rows.end(), 0.0, [](double sum, const BenchRow& row) {
    return sum + static_cast<double>(row.calls) * row.seconds;
  });
}

double BenchReport::product_seconds() const {
  return std::accumulate(rows.begin(), rows.end(), score_product_seconds, [](double sum, const BenchRow& row) {
    return sum + (row.step.starts_with("matmul") ? static_cast<double>(row.calls) * row.seconds : 0.0);
  });
}

double BenchReport::flop() const {
  return std::accumulate(rows.begin(), rows.end(), 0.0, [](double sum, const BenchRow& row) {
    return sum + static_cast<double>(row.calls) * row.flop;
  });
}

BenchReport bench_steps(Device& device, const BenchShape& shape, DType dtype, double seconds_per_step) {
  return Workbench(device, shape, dtype, seconds_per_step).run();
}

}  // namespace thresher::device
