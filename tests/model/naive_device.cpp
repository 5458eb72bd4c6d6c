#include "model/naive_device.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "thresher/base/half.h"
#include "thresher/device/row_runs.h"

namespace thresher::model::test {
namespace {

using device::AttendOptions;
using device::Buffer;
using device::DType;
using device::RopeOptions;
using device::ScoreParts;
using device::ScoreQuestion;
using device::Sequences;
using device::Tensor;

double value(const Tensor& tensor, std::int64_t row, std::int64_t column) {
  const std::int64_t at = row * tensor.stride + column;
  if (tensor.dtype == DType::f32) return tensor.as<float>()[at];
  const std::uint16_t bits = tensor.as<std::uint16_t>()[at];
  return tensor.dtype == DType::bf16 ? base::from_bf16(bits) : base::from_f16(bits);
}

void store(const Tensor& tensor, std::int64_t row, std::int64_t column, double number) {
  tensor.row<float>(row)[column] = static_cast<float>(number);
}

class NaiveWeight : public device::Weight {
 public:
  explicit NaiveWeight(const Tensor& matrix) : outputs_(matrix.rows), inputs_(matrix.columns) {
    for (std::int64_t r = 0; r < outputs_; ++r)
      for (std::int64_t c = 0; c < inputs_; ++c) values_.push_back(value(matrix, r, c));
  }
  std::int64_t outputs() const override { return outputs_; }
  std::int64_t inputs() const override { return inputs_; }
  DType dtype() const override { return DType::f32; }
  std::int64_t bytes() const override { return outputs_ * inputs_ * 4; }

  double product(const Tensor& x, std::int64_t row, std::int64_t output) const {
    double sum = 0;
    for (std::int64_t c = 0; c < inputs_; ++c)
      sum += value(x, row, c) * values_[static_cast<std::size_t>(output * inputs_ + c)];
    return sum;
  }

 private:
  std::int64_t outputs_, inputs_;
  std::vector<double> values_;
};

double activate(double x, device::Activation activation) {
  switch (activation) {
    case device::Activation::silu:
      return x / (1 + std::exp(-x));
    case device::Activation::gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case device::Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

class NaiveDevice : public device::Device {
 public:
  std::string kind() const override { return "naive"; }
  std::string isa() const override { return "double"; }
  bool shares_prefixes() const override { return true; }
  int threads() const override { return 1; }
  Buffer allocate(std::int64_t bytes) override { return tensor::host_buffer(bytes); }
  void upload(const Tensor& from, const Tensor& to) override {
    for (std::int64_t r = 0; r < from.rows; ++r)
      std::memcpy(to.rows_from(r, 1).data, from.rows_from(r, 1).data,
                  static_cast<std::size_t>(from.columns * tensor::size_of(from.dtype)));
  }
  void download(const Tensor& from, const Tensor& to) override { upload(from, to); }
  void finish() override {}
  void reserve(std::int64_t, std::int64_t, std::int64_t) override {}
  std::unique_ptr<device::Weight> pack(const Tensor& matrix, DType, std::span<const std::int64_t>,
                                       device::Residence) override {
    return std::make_unique<NaiveWeight>(matrix);
  }

  void embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out) override {
    for (std::int64_t r = 0; r < out.rows; ++r) {
      const std::int64_t id = ids.as<std::int32_t>()[r] - first_id;
      for (std::int64_t c = 0; c < out.columns; ++c)
        store(out, r, c, id >= 0 && id < table.rows ? value(table, id, c) : 0);
    }
  }

  void norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) override {
    for (std::int64_t r = 0; r < out.rows; ++r) {
      const std::int64_t source = rows ? rows.as<std::int32_t>()[r] : r;
      double squares = 0;
      for (std::int64_t c = 0; c < x.columns; ++c) squares += value(x, source, c) * value(x, source, c);
      const double factor = 1 / std::sqrt(squares / static_cast<double>(x.columns) + static_cast<double>(epsilon));
      for (std::int64_t c = 0; c < x.columns; ++c) store(out, r, c, value(x, source, c) * factor * value(gain, 0, c));
    }
  }

  void matmul(const Tensor& x, const device::Weight& weight, const Tensor& bias, bool accumulate,
              const Tensor& out) override {
    const auto& matrix = dynamic_cast<const NaiveWeight&>(weight);
    for (std::int64_t r = 0; r < out.rows; ++r)
      for (std::int64_t c = 0; c < out.columns; ++c)
        store(out, r, c,
              matrix.product(x, r, c) + (bias ? value(bias, 0, c) : 0) + (accumulate ? value(out, r, c) : 0));
  }

  void add(const Tensor& x, const Tensor& bias, const Tensor& out) override {
    for (std::int64_t r = 0; r < out.rows; ++r)
      for (std::int64_t c = 0; c < out.columns; ++c)
        store(out, r, c, value(x, r, c) + (bias ? value(bias, 0, c) : 0) + value(out, r, c));
  }

  void rope(const Tensor& x, const RopeOptions& options) override {
    const std::int64_t size = options.head_size, half = size / 2;
    std::vector<double> head(static_cast<std::size_t>(size));
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const std::int64_t row = options.rows.as<std::int32_t>()[t];
      for (std::int64_t first = 0; first < x.columns; first += size) {
        double squares = 0;
        for (std::int64_t i = 0; i < size; ++i) {
          head[static_cast<std::size_t>(i)] = value(x, t, first + i);
          squares += value(x, t, first + i) * value(x, t, first + i);
        }
        if (options.gain)
          for (std::int64_t i = 0; i < size; ++i)
            head[static_cast<std::size_t>(i)] *=
                value(options.gain, 0, i) /
                std::sqrt(squares / static_cast<double>(size) + static_cast<double>(options.epsilon));
        for (std::int64_t i = 0; i < half; ++i) {
          const double a = head[static_cast<std::size_t>(i)], b = head[static_cast<std::size_t>(i + half)];
          const double cos = value(options.cos, row, i), sin = value(options.sin, row, i);
          store(x, t, first + i, a * cos - b * sin);
          store(x, t, first + i + half, b * cos + a * sin);
        }
      }
    }
  }

  void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
              const AttendOptions& options, const Tensor& out) override {
    const auto* starts = sequences.starts.as<std::int32_t>();
    for (std::int64_t s = 0; s < sequences.count; ++s) {
      std::vector<std::int64_t> rows;  // that a token sees
      for (const device::RowRun& run : device::runs_of(sequences, s))
        for (std::int32_t i = 0; i < run.count; ++i) rows.push_back(run.first + i);
      for (std::int64_t t = starts[s]; t < starts[s + 1]; ++t) {
        rows.push_back(t);
        for (std::int64_t h = 0; h < options.query_heads; ++h) attend_one(q, k, v, rows, h, options, out);
      }
    }
  }

  void gate(const Tensor& x, device::Activation activation, const Tensor& out) override {
    for (std::int64_t r = 0; r < out.rows; ++r)
      for (std::int64_t c = 0; c < out.columns; ++c)
        store(out, r, c, activate(value(x, r, c), activation) * value(x, r, c + out.columns));
  }

  void target_logits(const Tensor& hidden, const device::Weight& head, const Tensor& targets, std::int64_t first_id,
                     const Tensor& out) override {
    for (std::int64_t r = 0; r < hidden.rows; ++r) {
      const std::int64_t column = targets.as<std::int32_t>()[r] - first_id;
      const bool here = column >= 0 && column < head.outputs();
      store(out, 0, r, here ? dynamic_cast<const NaiveWeight&>(head).product(hidden, r, column) : 0);
    }
  }

  void score(const Tensor& hidden, const device::Weight& head, const ScoreQuestion& question,
             const ScoreParts& parts) override {
    const auto& matrix = dynamic_cast<const NaiveWeight&>(head);
    target_logits(hidden, head, question.targets, question.first_id, parts.found);
    std::vector<float> logits(static_cast<std::size_t>(head.outputs()));
    for (std::int64_t r = 0; r < hidden.rows; ++r) {
      for (std::int64_t c = 0; c < head.outputs(); ++c)
        logits[static_cast<std::size_t>(c)] = static_cast<float>(matrix.product(hidden, r, c));
      for (std::size_t s = 0; s + 1 < question.cuts.size(); ++s)
        sum_segment(std::span(logits).subspan(static_cast<std::size_t>(question.cuts[s]),
                                              static_cast<std::size_t>(question.cuts[s + 1] - question.cuts[s])),
                    static_cast<std::int64_t>(s), r, parts);
      rank_row(logits, r, question, parts);
    }
  }
  using device::Device::pack;
  device::ScoreTime score_time() const override { return {}; }
  double measure_peak(DType, double) override { return 0; }

 private:
  static void attend_one(const Tensor& q, const Tensor& k, const Tensor& v, const std::vector<std::int64_t>& rows,
                         std::int64_t h, const AttendOptions& options, const Tensor& out) {
    const std::int64_t size = options.head_size;
    const std::int64_t shared = options.group > 0 ? options.group : options.query_heads / options.kv_heads;
    const std::int64_t group = (h + options.skipped) / shared;
    const auto seen = static_cast<std::int64_t>(rows.size());
    const std::int64_t first = options.window > 0 ? std::max<std::int64_t>(0, seen - options.window) : 0;
    const std::int64_t t = rows.back();
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t j = first; j < seen; ++j) {
      const std::int64_t key = rows[static_cast<std::size_t>(j)];
      double product = 0;
      for (std::int64_t i = 0; i < size; ++i) product += value(q, t, h * size + i) * value(k, key, group * size + i);
      weights.push_back(product * static_cast<double>(options.scale));
    }
    const double greatest = *std::max_element(weights.begin(), weights.end());
    for (double& weight : weights) sum += weight = std::exp(weight - greatest);
    for (std::int64_t i = 0; i < size; ++i) {
      double mixed = 0;
      for (std::int64_t j = first; j < seen; ++j)
        mixed += weights[static_cast<std::size_t>(j - first)] *
                 value(v, rows[static_cast<std::size_t>(j)], group * size + i);
      store(out, t, h * size + i, mixed / sum);
    }
  }

  static void sum_segment(std::span<const float> logits, std::int64_t segment, std::int64_t r,
                          const ScoreParts& parts) {
    const auto power = [](float logit) { return static_cast<double>(logit) * static_cast<double>(device::log2_e); };
    double greatest = -std::numeric_limits<double>::infinity(), sum = 0, weighted = 0;
    for (const float logit : logits) greatest = std::max(greatest, power(logit));
    const double reference = static_cast<float>(greatest);
    for (const float logit : logits) {
      const double t = power(logit) - reference;
      sum += std::exp2(t);
      weighted += std::exp2(t) * t;
    }
    store(parts.reference, segment, r, reference);
    store(parts.sum, segment, r, sum);
    if (parts.weighted) store(parts.weighted, segment, r, weighted);
  }

  static void rank_row(const std::vector<float>& logits, std::int64_t r, const ScoreQuestion& question,
                       const ScoreParts& parts) {
    std::vector<std::int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    const auto logit = [&](std::int32_t column) { return logits[static_cast<std::size_t>(column)]; };
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b); });
    if (question.target_logits) {
      const float target = question.target_logits.as<float>()[r];
      const std::int64_t column = question.targets.as<std::int32_t>()[r] - question.first_id;
      parts.above.as<std::int32_t>()[r] =
          static_cast<std::int32_t>(std::count_if(order.begin(), order.end(), [&](std::int32_t c) {
            return logit(c) > target || (logit(c) == target && c < column);
          }));
    }
    for (std::int64_t i = 0; parts.top_id && i < parts.top_id.columns; ++i) {
      const bool there = i < static_cast<std::int64_t>(order.size());
      const std::int32_t column = there ? order[static_cast<std::size_t>(i)] : -1;
      parts.top_id.row<std::int32_t>(r)[i] = there ? column + static_cast<std::int32_t>(question.first_id) : -1;
      parts.top_logit.row<float>(r)[i] = there ? logit(column) : -std::numeric_limits<float>::infinity();
    }
  }
};

}  // namespace

std::unique_ptr<device::Device> make_naive_device() {
  return std::make_unique<NaiveDevice>();
}

}  // namespace thresher::model::test
