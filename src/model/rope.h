// The angles of rotary position embeddings (Su et al. 2021, arXiv 2104.09864) and their extensions to longer contexts.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "thresher/device/device.h"
#include "thresher/model/config.h"
#include "thresher/model/transformer.h"

namespace thresher::model {

// Radians per position of each of the head_size / 2 pairs. Only the dynamic kind depends on `length`, the tokens of the
// sequence. In double precision throughout; Hugging Face's float32 values agree to rounding.
std::vector<double> inverse_frequencies(const ModelConfig& config, std::int64_t length);
// Factor of cos and sin (yarn), else 1.
double rope_magnitude(const ModelConfig& config);

// Tables of cos and sin on the device, a row per position. With the dynamic kind, sequences longer than the model's
// positions have rows of their own, computed when such a length first comes.
class RopeTable {
 public:
  RopeTable(device::Device& device, const ModelConfig& config, const Capacity& capacity);

  const tensor::Tensor& cos() const { return cos_; }
  const tensor::Tensor& sin() const { return sin_; }
  // rows[t] = the table's row for token t of a batch cut at `starts`; sequence i's first one is at position
  // inherited[i], or 0 where that is empty, as it is with the dynamic kind.
  void assign(std::span<const std::int32_t> starts, std::span<const std::int32_t> inherited,
              std::vector<std::int32_t>& rows);

 private:
  void compute(std::int64_t first_row, std::int64_t length);
  bool is_long(std::int64_t length) const {
    return config_.rope.kind == RopeKind::dynamic && length > config_.positions;
  }
  void place_long(std::span<const std::int32_t> starts);

  device::Device& device_;
  const ModelConfig& config_;
  std::int64_t plain_rows_ = 0, long_rows_ = 0, long_used_ = 0;
  device::Buffer memory_;
  tensor::Tensor cos_, sin_;
  std::vector<float> host_cos_, host_sin_;
  std::map<std::int64_t, std::int64_t> long_first_;  // length -> first row of its table
};

}  // namespace thresher::model
