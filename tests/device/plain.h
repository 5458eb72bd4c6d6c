// Dense matrices for tests that compare bits: values on the host as they are stored, their copy on the device.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "thresher/base/half.h"
#include "thresher/device/device.h"

namespace thresher::device::contract {

class Plain {
 public:
  Plain(Device& device, DType dtype, std::int64_t rows, std::int64_t columns)
      : device_(device),
        host_(static_cast<std::size_t>(rows * columns * tensor::size_of(dtype)), std::uint8_t{0xa5}),
        memory_(device.allocate(rows * columns * tensor::size_of(dtype))),
        view_(tensor::matrix(memory_.data(), dtype, rows, columns)) {
    write();
  }

  const Tensor& view() const { return view_; }
  Tensor host() { return tensor::matrix(host_.data(), view_.dtype, view_.rows, view_.columns); }
  template <class T>
  T* row(std::int64_t r) {
    return host().row<T>(r);
  }
  Plain& write() {
    device_.upload(host(), view_);
    return *this;
  }
  Plain& read() {
    device_.finish();
    device_.download(view_, host());
    return *this;
  }
  template <class Value>
  Plain& fill(const Value& value) {
    for (std::int64_t r = 0; r < view_.rows; ++r)
      for (std::int64_t c = 0; c < view_.columns; ++c) {
        if (view_.dtype == DType::bf16) {
          row<std::uint16_t>(r)[c] = base::to_bf16(static_cast<float>(value(r, c)));
        } else if (view_.dtype == DType::i32) {
          row<std::int32_t>(r)[c] = static_cast<std::int32_t>(value(r, c));
        } else {
          row<float>(r)[c] = static_cast<float>(value(r, c));
        }
      }
    return write();
  }
  Plain& random(std::uint64_t seed, float scale = 1) {
    std::mt19937_64 generator(seed);
    std::normal_distribution<float> normal(0, scale);
    return fill([&](auto, auto) { return normal(generator); });
  }
  // The bytes of `count` columns from `first` on, row by row.
  std::vector<std::uint8_t> columns(std::int64_t first, std::int64_t count) {
    const std::int64_t size = tensor::size_of(view_.dtype);
    std::vector<std::uint8_t> bytes;
    for (std::int64_t r = 0; r < view_.rows; ++r) {
      const std::uint8_t* from = host_.data() + (r * view_.columns + first) * size;
      bytes.insert(bytes.end(), from, from + count * size);
    }
    return bytes;
  }
  std::vector<std::uint8_t> bytes() { return columns(0, view_.columns); }

 private:
  Device& device_;
  std::vector<std::uint8_t> host_;
  Buffer memory_;
  Tensor view_;
};

inline std::vector<float> random_matrix(std::uint64_t seed, std::int64_t count, float scale) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

}  // namespace thresher::device::contract
