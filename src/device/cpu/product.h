// Matrix products, one block of rows on one thread at a time: oneDNN's, of fixed shapes, so that a primitive is made
// once, and no bits that depend on the number of threads. With AVX2 our own kernel's: oneDNN's bits depend on the
// number of rows there.
#pragma once

#include <algorithm>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "device/cpu/crew.h"
#include "device/cpu/kernels.h"
#include "thresher/device/device.h"

namespace thresher::device::cpu {

inline Rows rows_of(const Tensor& x) {
  return {x.data, x.stride, x.columns, x.dtype == DType::bf16};
}

// Bytes up to the next cache line.
inline std::int64_t aligned(std::int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// W^T as products read it: [inputs, outputs] in blocks that oneDNN chooses, or in slabs for our own kernel (SlabArgs);
// neither of them 0. A tile of columns is the same layout at an offset.
class PackedWeight : public Weight {
 public:
  PackedWeight(const dnnl::engine& engine, std::int64_t outputs, std::int64_t inputs, DType dtype,
               dnnl::memory::desc layout, Buffer data, std::int64_t tile_columns);

  std::int64_t outputs() const override { return outputs_; }
  std::int64_t inputs() const override { return inputs_; }
  DType dtype() const override { return dtype_; }
  std::int64_t bytes() const override { return data_.bytes(); }

  const dnnl::memory& whole() const { return whole_; }
  const dnnl::memory& tile(std::int64_t index) const { return tiles_[static_cast<std::size_t>(index)]; }
  std::int64_t tiles() const { return static_cast<std::int64_t>(tiles_.size()); }
  // Columns [first, first + count), both multiples of 64 unless they end with the weight.
  dnnl::memory columns(std::int64_t first, std::int64_t count) const;
  std::int64_t tile_columns(std::int64_t index) const {
    return std::min(tile_columns_, outputs_ - index * tile_columns_);
  }

  // The layout of a weight of its own with `count` columns, and the copy of column `from` of this one to its column
  // `to`.
  dnnl::memory::desc gathered_layout(std::int64_t count) const;
  void gather(std::int64_t from, std::int64_t to, void* gathered) const;

 private:
  std::int64_t outputs_, inputs_, tile_columns_;
  DType dtype_;
  dnnl::memory::desc layout_;
  Buffer data_;
  dnnl::memory whole_;
  std::vector<dnnl::memory> tiles_;
  std::vector<std::int64_t> row_offsets_, gathered_row_offsets_;
};

struct ProductShape {
  std::int64_t rows = 0;
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  DType held = DType::f32;
  DType out = DType::f32;
  bool bias = false;
  bool accumulate = false;

  auto operator<=>(const ProductShape&) const = default;
};

// One shape's primitive, with the memory objects of each thread, or our own kernel.
class Product {
 public:
  Product(const dnnl::engine& engine, const ProductShape& shape, const dnnl::memory::desc& weight, int threads);
  // By our own kernel, for slabs of f32.
  Product(const Kernels& kernels, const ProductShape& shape) : shape_(shape), own_(&kernels) {}

  // x [rows, inputs], out [rows, outputs]; both dense where the product is oneDNN's.
  void run(int thread, const Tensor& x, const dnnl::memory& weight, const float* bias, const Tensor& out);
  std::int64_t rows() const { return shape_.rows; }
  std::int64_t columns() const { return shape_.outputs; }

 private:
  struct Operands {
    dnnl::memory x, bias, out, scratch;
    std::vector<dnnl_exec_arg_t> list;
    Buffer scratch_data;
    dnnl::stream stream;
  };
  ProductShape shape_;
  dnnl::matmul primitive_;
  const Kernels* own_ = nullptr;
  std::vector<Operands> operands_;
};

// A product's tasks: blocks of rows by tiles of columns, the last of either perhaps smaller. No part of the bits.
struct Division {
  std::int64_t rows, columns;  // of all
  std::int64_t block, tile;    // rows and columns of a task
  std::int64_t blocks, tiles;

  std::int64_t tasks() const { return blocks * tiles; }
  // Tasks in rising order are at the same columns at a time.
  std::int64_t first_row(std::int64_t task) const { return task % blocks * block; }
  std::int64_t first_column(std::int64_t task) const { return task / blocks * tile; }
  std::int64_t rows_of(std::int64_t task) const { return std::min(block, rows - first_row(task)); }
  std::int64_t columns_of(std::int64_t task) const { return std::min(tile, columns - first_column(task)); }
};

class Products {
 public:
  Products(const Kernels& kernels, Crew& crew);

  // A matrix's numbers as weights of this dtype hold them: the matrix itself, or a copy in `copy`.
  Tensor rounded(const Tensor& matrix, DType dtype, Buffer& copy) const;
  // Tiles of `tile_columns`, a multiple of 64.
  std::unique_ptr<PackedWeight> pack(const Tensor& matrix, DType dtype, std::int64_t tile_columns);
  Division divide(std::int64_t rows, const Weight& weight, std::int64_t most_rows = 256) const;
  // Makes the primitive on first use; not to be called from inside a parallel region.
  Product& of(const ProductShape& shape, const dnnl::memory::desc& weight);
  // What weights of this dtype are held as: f32 where the processor multiplies no bf16.
  DType held(DType dtype) const;
  // Whether products go through our own kernel, which takes rows where they lie.
  bool own() const { return kernels_.isa == Isa::avx2; }
  const dnnl::engine& engine() const { return engine_; }
  Scratch& scratch(int thread) const { return static_cast<Scratch*>(scratch_.data())[thread]; }

 private:
  using Key = std::tuple<ProductShape, std::int64_t, std::int64_t>;  // and the layout's strides

  const Kernels& kernels_;
  Crew& crew_;
  Buffer scratch_;  // one Scratch per thread
  dnnl::engine engine_;
  std::map<Key, std::unique_ptr<Product>> products_;
};

}  // namespace thresher::device::cpu
