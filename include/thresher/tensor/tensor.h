// A view of a matrix in a device's memory. Everything a transformer step touches is one: a vector is a matrix of one
// row.
#pragma once

#include <cstdint>
#include <span>

#include "thresher/tensor/dtype.h"
#include "thresher/tensor/quantised.h"

namespace thresher::tensor {

// Non-owning. Element (r, c) lies at data + (r * stride + c) * size_of(dtype); stride >= columns, in elements.
// An empty view (data == nullptr) stands for "none" where an argument is optional.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;
  // Of activations in i8 only: the pieces of row 0, then those of row 1, ..., in the device's memory, and boundaries
  // {0, ..., columns} of a row's pieces, which outlive the view.
  QuantisedPiece* pieces = nullptr;
  std::span<const std::int64_t> cuts = {};

  explicit operator bool() const { return data != nullptr; }
  std::int64_t elements() const { return rows * columns; }

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  template <class T>
  T* row(std::int64_t r) const {
    return static_cast<T*>(data) + r * stride;
  }

  // The first `count` rows from row `first` on.
  Tensor rows_from(std::int64_t first, std::int64_t count) const {
    Tensor view = *this;
    view.data = static_cast<char*>(data) + first * stride * size_of(dtype);
    view.rows = count;
    if (pieces) view.pieces = pieces + first * (static_cast<std::int64_t>(cuts.size()) - 1);
    return view;
  }
  // `count` columns from column `first` on, of every row. Not of quantised activations.
  Tensor columns_from(std::int64_t first, std::int64_t count) const {
    Tensor view = *this;
    view.data = static_cast<char*>(data) + first * size_of(dtype);
    view.columns = count;
    return view;
  }
};

// A dense view: stride == columns.
inline Tensor matrix(void* data, DType dtype, std::int64_t rows, std::int64_t columns) {
  return {data, dtype, rows, columns, columns};
}
inline Tensor row_vector(void* data, DType dtype, std::int64_t columns) {
  return {data, dtype, 1, columns, columns};
}

}  // namespace thresher::tensor
