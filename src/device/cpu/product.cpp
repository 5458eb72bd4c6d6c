#include "device/cpu/product.h"

#include <fmt/format.h>
#include <omp.h>

#include "device/cpu/crew.h"
#include "thresher/base/check.h"
#include "thresher/base/half.h"

namespace thresher::device::cpu {
namespace {

using dnnl::memory;

memory::data_type type_of(DType dtype) {
  return dtype == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

// The offset of (row, column) in elements, by the format that oneDNN documents for blocked layouts. It is a sum of a
// part of the row and a part of the column.
std::int64_t offset_in(const memory::desc& layout, std::int64_t row, std::int64_t column) {
  const auto& blocking = layout.data.format_desc.blocking;
  std::int64_t index[2] = {row, column};
  std::int64_t offset = 0, step = 1;
  for (int i = blocking.inner_nblks - 1; i >= 0; --i) {
    std::int64_t& at = index[blocking.inner_idxs[i]];
    offset += at % blocking.inner_blks[i] * step;
    at /= blocking.inner_blks[i];
    step *= blocking.inner_blks[i];
  }
  return offset + index[0] * blocking.strides[0] + index[1] * blocking.strides[1];
}

// The same blocks with another number of columns.
memory::desc with_columns(const memory::desc& layout, std::int64_t count) {
  memory::desc other = layout;
  std::int64_t block = 1;
  const auto& blocking = layout.data.format_desc.blocking;
  for (int i = 0; i < blocking.inner_nblks; ++i)
    if (blocking.inner_idxs[i] == 1) block *= blocking.inner_blks[i];
  other.data.dims[1] = count;
  other.data.padded_dims[1] = (count + block - 1) / block * block;
  return other;
}

std::int64_t bits_of(const memory::desc& layout) {
  return layout.data_type() == memory::data_type::bf16 ? 16 : 32;
}

// Rows [first, last) of a matrix of any dtype as f32 or bf16 rows.
template <class T>
void convert_rows(const Tensor& matrix, DType dtype, T* out, std::int64_t first, std::int64_t last) {
  for (std::int64_t r = first; r < last; ++r)
    for (std::int64_t c = 0; c < matrix.columns; ++c) {
      const float value = matrix.dtype == DType::f32    ? matrix.row<const float>(r)[c]
                          : matrix.dtype == DType::bf16 ? base::from_bf16(matrix.row<const std::uint16_t>(r)[c])
                                                        : base::from_f16(matrix.row<const std::uint16_t>(r)[c]);
      const std::uint16_t rounded = dtype == DType::bf16 ? base::to_bf16(value) : std::uint16_t{0};
      if constexpr (sizeof(T) == 2) {
        out[r * matrix.columns + c] = rounded;
      } else {
        out[r * matrix.columns + c] = dtype == DType::bf16 ? base::from_bf16(rounded) : value;
      }
    }
}

memory::desc dense(std::int64_t rows, std::int64_t columns, DType dtype) {
  return {{rows, columns}, type_of(dtype), memory::format_tag::ab};
}

}  // namespace

PackedWeight::PackedWeight(const dnnl::engine& engine, std::int64_t outputs, std::int64_t inputs, DType dtype,
                           memory::desc layout, Buffer data, std::int64_t tile_columns)
    : outputs_(outputs),
      inputs_(inputs),
      tile_columns_(tile_columns),
      dtype_(dtype),
      layout_(std::move(layout)),
      data_(std::move(data)),
      whole_(layout_, engine, data_.data()) {
  for (std::int64_t first = 0; first < outputs; first += tile_columns)
    tiles_.push_back(columns(first, std::min(tile_columns, outputs - first)));
  const memory::desc gathered = gathered_layout(64);
  for (std::int64_t k = 0; k < inputs; ++k) {
    row_offsets_.push_back(offset_in(layout_, k, 0));
    gathered_row_offsets_.push_back(offset_in(gathered, k, 0));
  }
}

memory PackedWeight::columns(std::int64_t first, std::int64_t count) const {
  const std::int64_t bytes = offset_in(layout_, 0, first) * bits_of(layout_) / 8;
  return {with_columns(layout_, count), whole_.get_engine(), static_cast<char*>(data_.data()) + bytes};
}

memory::desc PackedWeight::gathered_layout(std::int64_t count) const {
  if (layout_.data.format_desc.blocking.inner_nblks > 0) return with_columns(layout_, count);
  return {{inputs_, count}, static_cast<memory::data_type>(layout_.data.data_type), memory::format_tag::ab};
}

void PackedWeight::gather(std::int64_t from, std::int64_t to, void* gathered) const {
  const auto copy = [&](const auto* source, auto* target) {
    for (std::size_t k = 0; k < row_offsets_.size(); ++k) target[gathered_row_offsets_[k]] = source[row_offsets_[k]];
  };
  const std::int64_t source = offset_in(layout_, 0, from), target = offset_in(gathered_layout(64), 0, to);
  if (bits_of(layout_) == 16) {
    copy(static_cast<const std::uint16_t*>(data_.data()) + source, static_cast<std::uint16_t*>(gathered) + target);
  } else {
    copy(static_cast<const std::uint32_t*>(data_.data()) + source, static_cast<std::uint32_t*>(gathered) + target);
  }
}

Product::Product(const dnnl::engine& engine, const ProductShape& shape, const memory::desc& weight, int threads)
    : shape_(shape), operands_(static_cast<std::size_t>(threads)) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops after;
  if (shape.accumulate) after.append_sum(1.0f);
  attributes.set_post_ops(after);
  const memory::desc x = dense(shape.rows, shape.inputs, shape.held), out = dense(shape.rows, shape.outputs, shape.out);
  const memory::desc bias = shape.bias ? dense(1, shape.outputs, DType::f32) : memory::desc();
  const dnnl::matmul::desc description =
      shape.bias ? dnnl::matmul::desc(x, weight, bias, out) : dnnl::matmul::desc(x, weight, out);
  const dnnl::matmul::primitive_desc made(description, attributes, engine);
  primitive_ = dnnl::matmul(made);
  for (Operands& one : operands_) {
    one.stream = dnnl::stream(engine);
    one.x = memory(x, engine, nullptr);
    one.out = memory(out, engine, nullptr);
    const memory::desc scratch = made.scratchpad_desc();
    one.scratch_data = tensor::host_buffer(static_cast<std::int64_t>(scratch.get_size()));
    one.scratch = memory(scratch, engine, one.scratch_data.data());
    one.list = {{DNNL_ARG_SRC, one.x.get()},
                {DNNL_ARG_WEIGHTS, nullptr},
                {DNNL_ARG_DST, one.out.get()},
                {DNNL_ARG_SCRATCHPAD, one.scratch.get()}};
    if (shape.bias) {
      one.bias = memory(bias, engine, nullptr);
      one.list.push_back({DNNL_ARG_BIAS, one.bias.get()});
    }
  }
}

void Product::run(int thread, const Tensor& x, const memory& weight, const float* bias, const Tensor& out) {
  if (own_)
    return own_->multiply_slabs({.x = x.data,
                                 .x_bytes = x.stride * tensor::size_of(x.dtype),
                                 .bf16 = false,
                                 .inputs = shape_.inputs,
                                 .w = static_cast<const std::uint32_t*>(weight.get_data_handle()),
                                 .depth = weight.get_desc().data.padded_dims[0],
                                 .rows = x.rows,
                                 .bias = bias,
                                 .accumulate = shape_.accumulate,
                                 .out = rows_of(out)});
  Operands& one = operands_[static_cast<std::size_t>(thread)];
  one.x.set_data_handle(x.data);
  one.list[1].memory = weight.get();
  one.out.set_data_handle(out.data);
  if (shape_.bias) one.bias.set_data_handle(const_cast<float*>(bias));
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive_.get(), one.stream.get(), static_cast<int>(one.list.size()), one.list.data()),
      "could not run a matrix product");
}

Products::Products(const Kernels& kernels, Crew& crew)
    : kernels_(kernels),
      crew_(crew),
      scratch_(tensor::host_buffer(static_cast<std::int64_t>(sizeof(Scratch)) * crew.threads())),
      engine_(dnnl::engine::kind::cpu, 0) {}

DType Products::held(DType dtype) const {
  return kernels_.isa == Isa::avx512_bf16 ? dtype : DType::f32;
}

Tensor Products::rounded(const Tensor& matrix, DType dtype, Buffer& copy) const {
  if (dtype != DType::f32 && dtype != DType::bf16)
    base::fail(base::Exit::internal, fmt::format("weights are packed as f32 or bf16, not {}", tensor::name_of(dtype)));
  if (matrix.dtype == held(dtype) && (matrix.dtype == DType::bf16 || dtype == DType::f32)) return matrix;
  copy = tensor::host_buffer(matrix.elements() * tensor::size_of(held(dtype)));
  const Tensor rounded = tensor::matrix(copy.data(), held(dtype), matrix.rows, matrix.columns);
  parallel_rows(crew_, matrix.rows, static_cast<double>(matrix.columns), [&](std::int64_t first, std::int64_t last) {
    if (rounded.dtype == DType::bf16) {
      convert_rows(matrix, dtype, rounded.as<std::uint16_t>(), first, last);
    } else {
      convert_rows(matrix, dtype, rounded.as<float>(), first, last);
    }
  });
  return rounded;
}

std::unique_ptr<PackedWeight> Products::pack(const Tensor& matrix, DType dtype, std::int64_t tile_columns) {
  Buffer converted;
  const Tensor from = rounded(matrix, dtype, converted);
  const std::int64_t outputs = matrix.rows, inputs = matrix.columns;
  const memory::desc any({inputs, outputs}, type_of(held(dtype)), memory::format_tag::any);
  const dnnl::matmul::desc description(dense(64, inputs, held(dtype)), any, dense(64, outputs, DType::f32));
  static_assert(slab_columns == 64);
  const memory::desc layout =
      own() ? memory::desc({inputs, outputs}, memory::data_type::f32, memory::format_tag::BA16a64b)
            : dnnl::matmul::primitive_desc(description, engine_).weights_desc();
  Buffer data = tensor::host_buffer(static_cast<std::int64_t>(layout.get_size()));
  memory source({{inputs, outputs}, type_of(from.dtype), {1, from.stride}}, engine_, from.data);
  memory packed(layout, engine_, data.data());
  dnnl::stream stream(engine_);
  omp_set_num_threads(crew_.threads());
  dnnl::reorder(source, packed).execute(stream, source, packed);
  stream.wait();
  omp_set_num_threads(1);
  return std::make_unique<PackedWeight>(engine_, outputs, inputs, dtype, layout, std::move(data), tile_columns);
}

// A large weight is read in tiles, each by all threads at a time, so that it comes from memory once and not for every
// block. Blocks are as large as leaves every thread several tasks, so that the last one is not waited for: the more
// rows, the less often a core reads a weight.
Division Products::divide(std::int64_t rows, const Weight& weight, std::int64_t most_rows) const {
  constexpr std::int64_t large = 4 << 20, fewest_rows = 16;
  Division division{
      .rows = rows, .columns = weight.outputs(), .block = most_rows, .tile = weight.outputs(), .blocks = 0, .tiles = 0};
  if (weight.bytes() > large) division.tile = std::min(division.tile, vocabulary_tile);
  division.tiles = (weight.outputs() + division.tile - 1) / division.tile;
  const auto blocks = [&] { return (rows + division.block - 1) / division.block; };
  while (division.block > fewest_rows && blocks() * division.tiles < 4 * crew_.threads()) division.block /= 2;
  division.blocks = blocks();
  division.block = std::min(division.block, rows);
  return division;
}

Product& Products::of(const ProductShape& shape, const memory::desc& weight) {
  const auto& blocking = weight.data.format_desc.blocking;
  std::unique_ptr<Product>& slot = products_[{shape, blocking.strides[0], blocking.strides[1]}];
  if (!slot && own()) {
    slot = std::make_unique<Product>(kernels_, shape);
  } else if (!slot) {
    omp_set_num_threads(1);  // oneDNN plans a primitive for the threads it sees; each runs on one
    slot = std::make_unique<Product>(engine_, shape, weight, crew_.threads());
  }
  return *slot;
}

}  // namespace thresher::device::cpu
