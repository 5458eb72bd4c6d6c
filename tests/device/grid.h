// Matrices for the device's contract test: values on the host, a strided view on the device between guard columns.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "thresher/base/half.h"
#include "thresher/device/device.h"

namespace thresher::device::contract {

// A matrix of doubles, each exactly a number of `dtype`; on the device with `margin` columns of NaN on both sides.
class Grid {
 public:
  Grid(Device& device, DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t margin = 0)
      : device_(device), margin_(margin), values_(static_cast<std::size_t>(rows * columns), std::nan("")) {
    const std::int64_t stride = columns + 2 * margin, bytes = rows * stride * tensor::size_of(dtype);
    host_ = tensor::host_buffer(bytes);
    memory_ = device.allocate(bytes);
    whole_host_ = tensor::matrix(host_.data(), dtype, rows, stride);
    whole_ = tensor::matrix(memory_.data(), dtype, rows, stride);
    write();
  }

  std::int64_t rows() const { return whole_.rows; }
  std::int64_t columns() const { return whole_.columns - 2 * margin_; }
  Tensor view() const { return whole_.columns_from(margin_, columns()); }
  double& at(std::int64_t r, std::int64_t c) { return values_[static_cast<std::size_t>(r * columns() + c)]; }
  double at(std::int64_t r, std::int64_t c) const { return values_[static_cast<std::size_t>(r * columns() + c)]; }

  template <class Values>
  Grid& fill(const Values& values) {
    for (std::int64_t r = 0; r < rows(); ++r)
      for (std::int64_t c = 0; c < columns(); ++c) at(r, c) = rounded(values(r, c));
    write();
    return *this;
  }
  Grid& random(std::mt19937_64& generator, double scale = 1) {
    std::normal_distribution<double> normal(0, scale);
    return fill([&](std::int64_t, std::int64_t) { return normal(generator); });
  }
  // Reads the device's values and checks that nothing was written into the margins.
  Grid& read() {
    device_.finish();
    device_.download(whole_, whole_host_);
    for (std::int64_t r = 0; r < rows(); ++r) {
      for (std::int64_t c = 0; c < margin_; ++c)
        if (!guard(r, c) || !guard(r, margin_ + columns() + c))
          BOOST_FAIL("guard column of row " << r << " was written");
      for (std::int64_t c = 0; c < columns(); ++c) at(r, c) = raw(r, margin_ + c);
    }
    return *this;
  }

 private:
  DType dtype() const { return whole_.dtype; }
  bool guard(std::int64_t r, std::int64_t c) const {
    return dtype() == DType::i32 ? raw(r, c) == -7 : std::isnan(raw(r, c));
  }
  double rounded(double value) const {
    if (dtype() == DType::bf16) return base::from_bf16(base::to_bf16(static_cast<float>(value)));
    return dtype() == DType::i32 ? value : static_cast<float>(value);
  }
  double raw(std::int64_t r, std::int64_t c) const {
    if (dtype() == DType::bf16) return base::from_bf16(whole_host_.row<std::uint16_t>(r)[c]);
    if (dtype() == DType::i32) return whole_host_.row<std::int32_t>(r)[c];
    return whole_host_.row<float>(r)[c];
  }
  void set_raw(std::int64_t r, std::int64_t c, double value) {
    if (dtype() == DType::bf16) {
      whole_host_.row<std::uint16_t>(r)[c] = base::to_bf16(static_cast<float>(value));
    } else if (dtype() == DType::i32) {
      whole_host_.row<std::int32_t>(r)[c] = std::isnan(value) ? -7 : static_cast<std::int32_t>(value);
    } else {
      whole_host_.row<float>(r)[c] = static_cast<float>(value);
    }
  }
  void write() {
    for (std::int64_t r = 0; r < rows(); ++r)
      for (std::int64_t c = 0; c < whole_.columns; ++c) {
        const bool inside = c >= margin_ && c < margin_ + columns();
        set_raw(r, c, inside ? at(r, c - margin_) : std::nan(""));
      }
    device_.upload(whole_host_, whole_);
  }

  Device& device_;
  std::int64_t margin_;
  std::vector<double> values_;
  Buffer host_, memory_;
  Tensor whole_host_, whole_;
};

// |got - want| <= absolute + relative |want| everywhere; NaN only where NaN is wanted.
template <class Want>
void compare(const Grid& got, double absolute, double relative, const Want& want, const char* what) {
  for (std::int64_t r = 0; r < got.rows(); ++r)
    for (std::int64_t c = 0; c < got.columns(); ++c) {
      const double expected = want(r, c), value = got.at(r, c);
      if (std::isnan(expected) && std::isnan(value)) continue;
      if (!(std::abs(value - expected) <= absolute + relative * std::abs(expected))) {
        BOOST_ERROR(what << ": row " << r << ", column " << c << " of " << got.rows() << " x " << got.columns()
                         << " is " << value << ", expected " << expected);
        return;
      }
    }
  BOOST_TEST(true);
}

// Half a unit in the last place of the type that the values were rounded to, with room for f32 arithmetic before it.
inline double relative_error(DType dtype) {
  return dtype == DType::bf16 ? 0x1.02p-8 : 2e-6;
}

}  // namespace thresher::device::contract
