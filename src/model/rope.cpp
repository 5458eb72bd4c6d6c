#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace thresher::model {
namespace {

std::vector<double> plain_frequencies(double theta, std::int64_t head_size) {
  std::vector<double> frequencies(static_cast<std::size_t>(head_size / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_size));
  return frequencies;
}

// Position interpolation (Chen et al. 2023, arXiv 2306.15595).
void scale_linear(std::vector<double>& frequencies, const RopeScaling& scaling) {
  for (double& frequency : frequencies) frequency /= scaling.factor;
}

// Dynamic NTK scaling: a greater theta for a longer sequence (bloc97 and emozilla 2023; section 3.1 and appendix B of
// Peng et al. 2023, arXiv 2309.00071).
double dynamic_theta(const ModelConfig& config, std::int64_t length) {
  const auto positions = static_cast<double>(config.positions);
  const double reached = std::max(static_cast<double>(length), positions), factor = config.rope.factor;
  const auto size = static_cast<double>(config.head_size);
  // A head of one pair has a single frequency, theta^0.
  if (config.head_size <= 2) return config.rope_theta;
  return config.rope_theta * std::pow(factor * reached / positions - (factor - 1), size / (size - 2));
}

// Llama 3.1's: long waves are slowed down by the factor, short ones stay, a ramp between (Llama team 2024, arXiv
// 2407.21783; the formula stands in the model's published code only).
void scale_llama3(std::vector<double>& frequencies, const RopeScaling& scaling) {
  const auto original = static_cast<double>(scaling.original_positions);
  const double low = scaling.low_frequency_factor, high = scaling.high_frequency_factor;
  for (double& frequency : frequencies) {
    const double turns = original * frequency / (2 * std::numbers::pi);
    if (turns > high) continue;
    const double keep = turns < low ? 0 : (turns - low) / (high - low);
    frequency = frequency * ((1 - keep) / scaling.factor + keep);
  }
}

// YaRN's "NTK by parts" (Peng et al. 2023, arXiv 2309.00071, section 3.2): pairs that turn more than beta_fast times
// within the original positions stay, those below beta_slow are interpolated, a ramp over the pairs' indices between.
void scale_yarn(std::vector<double>& frequencies, const ModelConfig& config) {
  const RopeScaling& scaling = config.rope;
  const auto size = static_cast<double>(config.head_size), original = static_cast<double>(scaling.original_positions);
  const auto pair_of = [&](double turns) {
    return size * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(config.rope_theta));
  };
  double low = pair_of(scaling.beta_fast), high = pair_of(scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, size - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= ramp / scaling.factor + (1 - ramp);
  }
}

}  // namespace

std::vector<double> inverse_frequencies(const ModelConfig& config, std::int64_t length) {
  const bool dynamic = config.rope.kind == RopeKind::dynamic;
  std::vector<double> frequencies =
      plain_frequencies(dynamic ? dynamic_theta(config, length) : config.rope_theta, config.head_size);
  if (config.rope.kind == RopeKind::linear) scale_linear(frequencies, config.rope);
  if (config.rope.kind == RopeKind::llama3) scale_llama3(frequencies, config.rope);
  if (config.rope.kind == RopeKind::yarn) scale_yarn(frequencies, config);
  return frequencies;
}

// YaRN, section 3.4: the softmax's temperature, moved into cos and sin. mscale and mscale_all_dim are DeepSeek's.
double rope_magnitude(const ModelConfig& config) {
  const RopeScaling& scaling = config.rope;
  if (scaling.kind != RopeKind::yarn) return 1;
  if (scaling.attention_factor) return *scaling.attention_factor;
  const auto magnitude = [&](double weight) {
    return scaling.factor <= 1 ? 1 : 0.1 * weight * std::log(scaling.factor) + 1;
  };
  if (scaling.mscale && scaling.mscale_all_dim) return magnitude(*scaling.mscale) / magnitude(*scaling.mscale_all_dim);
  return magnitude(1);
}

RopeTable::RopeTable(device::Device& device, const ModelConfig& config, const Capacity& capacity)
    : device_(device), config_(config) {
  plain_rows_ = capacity.longest;
  if (is_long(capacity.longest)) {
    plain_rows_ = config.positions;
    long_rows_ = capacity.tokens;
  }
  const std::int64_t rows = plain_rows_ + long_rows_, columns = config.head_size / 2;
  const std::int64_t bytes = tensor::Arena::bytes_of(tensor::DType::f32, rows, columns);
  memory_ = device.allocate(2 * bytes);
  cos_ = tensor::matrix(memory_.data(), tensor::DType::f32, rows, columns);
  sin_ = tensor::matrix(static_cast<char*>(memory_.data()) + bytes, tensor::DType::f32, rows, columns);
  const std::int64_t longest = std::max(plain_rows_, std::min(long_rows_, capacity.longest));
  host_cos_.resize(static_cast<std::size_t>(longest * columns));
  host_sin_.resize(static_cast<std::size_t>(longest * columns));
  compute(0, plain_rows_);
}

void RopeTable::compute(std::int64_t first_row, std::int64_t length) {
  const std::vector<double> frequencies = inverse_frequencies(config_, length);
  const double magnitude = rope_magnitude(config_);
  std::size_t at = 0;
  for (std::int64_t position = 0; position < length; ++position) {
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      host_cos_[at] = static_cast<float>(std::cos(angle) * magnitude);
      host_sin_[at++] = static_cast<float>(std::sin(angle) * magnitude);
    }
  }
  const auto columns = static_cast<std::int64_t>(frequencies.size());
  device_.upload(tensor::matrix(host_cos_.data(), tensor::DType::f32, length, columns),
                 cos_.rows_from(first_row, length));
  device_.upload(tensor::matrix(host_sin_.data(), tensor::DType::f32, length, columns),
                 sin_.rows_from(first_row, length));
}

// Lengths stay placed from batch to batch until the room is used up; then the whole batch is placed anew.
void RopeTable::place_long(std::span<const std::int32_t> starts) {
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    const std::int64_t length = starts[i + 1] - starts[i];
    if (!is_long(length) || long_first_.contains(length)) continue;
    if (long_used_ + length > long_rows_) {
      long_first_.clear();
      long_used_ = 0;
      return place_long(starts);
    }
    const std::int64_t first = plain_rows_ + long_used_;
    compute(first, length);
    long_first_.emplace(length, first);
    long_used_ += length;
  }
}

void RopeTable::assign(std::span<const std::int32_t> starts, std::span<const std::int32_t> inherited,
                       std::vector<std::int32_t>& rows) {
  if (long_rows_ > 0) place_long(starts);
  rows.clear();
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    const std::int64_t length = starts[i + 1] - starts[i];
    const std::int64_t first = is_long(length) ? long_first_.at(length) : inherited.empty() ? 0 : inherited[i];
    for (std::int64_t position = 0; position < length; ++position)
      rows.push_back(static_cast<std::int32_t>(first + position));
  }
}

}  // namespace thresher::model
