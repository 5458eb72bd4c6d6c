#include "device/cuda/cudnn/graph.h"

namespace thresher::device::cuda::cudnn {
namespace {

constexpr std::int64_t alignment = 16;  // bytes, of all memory

// Writes operations down one after the other; each gives its result's id.
class Writer {
 public:
  explicit Writer(const PackedShape& shape) : shape_(shape) {
    rows_of(Operand::lengths, shape.sequences, CUDNN_DATA_INT32);
    for (const Operand offsets : {Operand::q_offsets, Operand::k_offsets, Operand::v_offsets, Operand::out_offsets})
      rows_of(offsets, shape.sequences + 1, CUDNN_DATA_INT64);
    number(Operand::scale);
    number(Operand::never);
  }

  Sheet take() { return std::move(sheet_); }

  std::int64_t heads(Operand id, std::int64_t count, std::int64_t stride, Operand offsets) {
    const std::int64_t size = shape_.head_size;
    return add({.id = static_cast<std::int64_t>(id),
                .extents = {shape_.sequences, count, shape_.rows, size},
                .strides = {shape_.rows * stride, size, stride, 1},
                .dtype = CUDNN_DATA_BFLOAT16,
                .place = Value::memory,
                .offsets = static_cast<std::int64_t>(offsets)});
  }
  // The same with rows and columns exchanged.
  std::int64_t transposed_heads(Operand id, std::int64_t count, std::int64_t stride, Operand offsets) {
    heads(id, count, stride, offsets);
    std::swap(sheet_.values.back().extents[2], sheet_.values.back().extents[3]);
    std::swap(sheet_.values.back().strides[2], sheet_.values.back().strides[3]);
    return sheet_.values.back().id;
  }

  std::int64_t product(std::int64_t x, std::int64_t y, std::int64_t out, bool over_keys) {
    const auto lengths = static_cast<std::int64_t>(Operand::lengths);
    Operation operation{.kind = Operation::product, .x = x, .y = y, .out = out, .m = lengths};
    (over_keys ? operation.k : operation.n) = lengths;
    sheet_.operations.push_back(operation);
    return out;
  }
  std::int64_t each(cudnnPointwiseMode_t mode, std::int64_t x, std::int64_t y, std::int64_t out) {
    sheet_.operations.push_back({.mode = mode, .x = x, .y = y, .out = out});
    return out;
  }
  std::int64_t index(std::int64_t x, std::int64_t axis) {
    const std::int64_t out = scores(CUDNN_DATA_INT32);
    sheet_.operations.push_back(
        {.mode = CUDNN_POINTWISE_GEN_INDEX, .compute = CUDNN_DATA_INT32, .x = x, .out = out, .axis = axis});
    return out;
  }
  std::int64_t holds(cudnnPointwiseMode_t mode, std::int64_t x, std::int64_t y) {
    const std::int64_t out = scores(CUDNN_DATA_BOOLEAN);
    sheet_.operations.push_back({.mode = mode, .compute = CUDNN_DATA_BOOLEAN, .x = x, .y = y, .out = out});
    return out;
  }
  std::int64_t where(std::int64_t mask, std::int64_t x, std::int64_t otherwise) {
    const std::int64_t out = scores();
    sheet_.operations.push_back(
        {.mode = CUDNN_POINTWISE_BINARY_SELECT, .x = x, .y = otherwise, .mask = mask, .out = out});
    return out;
  }
  std::int64_t reduce(cudnnReduceTensorOp_t by, std::int64_t x) {
    const std::int64_t out = sums();
    sheet_.operations.push_back({.kind = Operation::reduction, .reduce = by, .x = x, .out = out});
    return out;
  }

  // Values that live inside: one for each query and key, and one for each query.
  std::int64_t scores(cudnnDataType_t dtype = CUDNN_DATA_FLOAT) { return inside(shape_.rows, dtype); }
  std::int64_t sums() { return inside(1, CUDNN_DATA_FLOAT); }

 private:
  std::int64_t add(Value value) {
    sheet_.values.push_back(std::move(value));
    return sheet_.values.back().id;
  }
  std::int64_t inside(std::int64_t columns, cudnnDataType_t dtype) {
    const std::int64_t heads = shape_.query_heads, rows = shape_.rows;
    return add({.id = next_++,
                .extents = {shape_.sequences, heads, rows, columns},
                .strides = {heads * rows * columns, rows * columns, columns, 1},
                .dtype = dtype,
                .place = Value::inside});
  }
  void rows_of(Operand id, std::int64_t count, cudnnDataType_t dtype) {
    add({.id = static_cast<std::int64_t>(id), .extents = {count, 1, 1, 1}, .strides = {1, 1, 1, 1}, .dtype = dtype});
  }
  void number(Operand id) {
    add({.id = static_cast<std::int64_t>(id),
         .extents = {1, 1, 1, 1},
         .strides = {1, 1, 1, 1},
         .dtype = CUDNN_DATA_FLOAT,
         .place = Value::number});
  }

  const PackedShape& shape_;
  Sheet sheet_;
  std::int64_t next_ = 100;
};

Descriptor tensor_of(const Value& value, const Descriptor* offsets) {
  Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, value.id)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, value.dtype)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment)
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, value.extents)
      .set(CUDNN_ATTR_TENSOR_STRIDES, value.strides)
      .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, value.place == Value::inside)
      .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, value.place == Value::number);
  if (offsets) tensor.set(CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC, *offsets);
  tensor.finish("describing a tensor");
  return tensor;
}

}  // namespace

Sheet attention(const PackedShape& shape) {
  Writer w(shape);
  const auto id = [](Operand operand) { return static_cast<std::int64_t>(operand); };
  const std::int64_t q = w.heads(Operand::q, shape.query_heads, shape.strides.q, Operand::q_offsets);
  const std::int64_t k = w.transposed_heads(Operand::k, shape.kv_heads, shape.strides.k, Operand::k_offsets);
  const std::int64_t v = w.heads(Operand::v, shape.kv_heads, shape.strides.v, Operand::v_offsets);
  const std::int64_t out = w.heads(Operand::out, shape.query_heads, shape.strides.out, Operand::out_offsets);
  const std::int64_t lengths = id(Operand::lengths), never = id(Operand::never);

  std::int64_t scores = w.product(q, k, w.scores(), false);
  scores = w.each(CUDNN_POINTWISE_MUL, scores, id(Operand::scale), w.scores());
  // Rows behind a sequence's end, on both sides.
  const std::int64_t query = w.index(scores, 2), key = w.index(scores, 3);
  const std::int64_t query_is = w.holds(CUDNN_POINTWISE_CMP_LT, query, lengths);
  const std::int64_t key_is = w.holds(CUDNN_POINTWISE_CMP_LT, key, lengths);
  scores = w.where(w.holds(CUDNN_POINTWISE_LOGICAL_AND, query_is, key_is), scores, never);
  // Keys behind the query. The indices are other values than those above: engines are found by the exact pattern.
  const std::int64_t row = w.index(scores, 2), column = w.index(scores, 3);
  scores = w.where(w.holds(CUDNN_POINTWISE_CMP_GE, row, column), scores, never);

  const std::int64_t greatest = w.reduce(CUDNN_REDUCE_TENSOR_MAX, scores);
  const std::int64_t powers =
      w.each(CUDNN_POINTWISE_EXP, w.each(CUDNN_POINTWISE_SUB, scores, greatest, w.scores()), 0, w.scores());
  const std::int64_t sum = w.reduce(CUDNN_REDUCE_TENSOR_ADD, powers);
  // Nobody reads these two, and without them 9.19 finds no engine.
  w.each(CUDNN_POINTWISE_ADD, greatest, w.each(CUDNN_POINTWISE_LOG, sum, 0, w.sums()), w.sums());
  const std::int64_t weights = w.each(CUDNN_POINTWISE_DIV, powers, sum, w.scores(CUDNN_DATA_BFLOAT16));
  w.product(weights, v, out, true);
  return w.take();
}

Graph::Graph(const Sheet& sheet, const Descriptor& machine)
    : machine_(machine), whole_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
  for (const Value& one : sheet.values)
    values_.emplace(one.id, tensor_of(one, one.offsets != 0 ? &value(one.offsets) : nullptr));
  for (const Operation& one : sheet.operations) operations_.push_back(operation(one));
  whole_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, std::span<const Descriptor>(operations_)).finish("describing attention");
}

const Descriptor& Graph::value(std::int64_t id) const {
  return values_.at(id);
}

Descriptor Graph::operation(const Operation& o) {
  if (o.kind == Operation::product) {
    Descriptor& mode = modes_.emplace_back(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    mode.set(CUDNN_ATTR_MATMUL_COMP_TYPE, o.compute).set(CUDNN_ATTR_MATMUL_PADDING_VALUE, 0.0).finish("a product");
    Descriptor made(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    made.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, value(o.x))
        .set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, value(o.y))
        .set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, value(o.out))
        .set(CUDNN_ATTR_OPERATION_MATMUL_DESC, mode);
    if (o.m != 0) made.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, value(o.m));
    if (o.n != 0) made.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, value(o.n));
    if (o.k != 0) made.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, value(o.k));
    made.finish("a product");
    return made;
  }
  if (o.kind == Operation::reduction) {
    Descriptor& mode = modes_.emplace_back(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    mode.set(CUDNN_ATTR_REDUCTION_OPERATOR, o.reduce).set(CUDNN_ATTR_REDUCTION_COMP_TYPE, o.compute).finish("a sum");
    Descriptor made(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    made.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, value(o.x))
        .set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, value(o.out))
        .set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, mode)
        .finish("a sum");
    return made;
  }
  Descriptor& mode = modes_.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  mode.set(CUDNN_ATTR_POINTWISE_MODE, o.mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, o.compute);
  if (o.axis >= 0) mode.set(CUDNN_ATTR_POINTWISE_AXIS, o.axis);
  mode.finish("an elementwise step");
  Descriptor made(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  made.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, mode)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, value(o.x))
      .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, value(o.out));
  if (o.y != 0) made.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, value(o.y));
  if (o.mask != 0) made.set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, value(o.mask));
  made.finish("an elementwise step");
  return made;
}

}  // namespace thresher::device::cuda::cudnn
