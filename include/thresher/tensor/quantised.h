// Activations in 8 bits: each piece of a row has a scale of its own, found from the piece alone.
#pragma once

#include <cstdint>

namespace thresher::tensor {

// Of one row and one piece of its columns. A byte stands for (byte - 128) * scale; a column among the outliers, whose
// byte is 128, for its value there. So a few numbers that are much greater than the others do not make those coarse
// (mixed columns, after Dettmers et al. 2022, arXiv 2208.07339, by row).
struct QuantisedPiece {
  static constexpr int most_outliers = 7;
  struct Outlier {
    std::int32_t column;  // of the row
    float value;
  };

  float scale;  // NaN where a number of the piece is NaN or infinite
  std::int32_t outliers;
  Outlier outlier[most_outliers];  // in rising columns
};
static_assert(sizeof(QuantisedPiece) == 64);

// The greatest number of inputs whose products, bytes of activations times weights from -127 to 127, are sums in 32
// bits.
constexpr std::int64_t most_quantised_inputs = 65536;

}  // namespace thresher::tensor
