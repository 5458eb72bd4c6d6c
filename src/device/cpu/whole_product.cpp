#include "device/cpu/whole_product.h"

namespace thresher::device::cpu {

// What all tasks of a product have in common.
class WholeProducts::Task {
 public:
  Task(WholeProducts& owner, const Tensor& x, const PackedWeight& weight, const ProductEnd& end)
      : kernels_(owner.kernels_),
        division_(owner.products_.divide(x.rows, weight)),
        x_(x),
        weight_(weight),
        end_(end),
        held_(owner.products_.held(weight.dtype())),
        own_(owner.products_.own()),
        stage_x_(x.dtype != held_ || (!own_ && x.stride != x.columns)),
        stage_out_(!own_ && (tiled() || end.out.stride != end.out.columns ||
                             (held_ == DType::f32 && end.out.dtype != DType::f32))) {
    for (const bool last_block : {false, true})
      for (const bool last_tile : {false, true})
        products_[last_block][last_tile] = &product(owner.products_, last_block, last_tile);
  }

  const Division& division() const { return division_; }
  double ns() const { return static_cast<double>(division_.block * x_.columns * division_.tile) / 300; }
  std::int64_t bytes() const { return x_bytes() + (stage_out_ ? aligned(division_.block * division_.tile * 4) : 0); }

  void run(std::int64_t task, int thread, char* scratch) const {
    const std::int64_t rows = division_.rows_of(task), columns = division_.columns_of(task),
                       column = division_.first_column(task);
    Tensor x = x_.rows_from(division_.first_row(task), rows);
    if (stage_x_) {
      const Tensor dense = tensor::matrix(scratch, held_, rows, x.columns);
      kernels_.convert(rows_of(x), rows_of(dense), 0, rows);
      x = dense;
    }
    const Tensor out = end_.out.rows_from(division_.first_row(task), rows).columns_from(column, columns);
    const float* bias = end_.bias ? end_.bias.as<const float>() + column : nullptr;
    const bool last_block = task % division_.blocks == division_.blocks - 1,
               last_tile = task / division_.blocks == division_.tiles - 1;
    Product& product = *products_[last_block][last_tile];
    const dnnl::memory& weight = weight_of(task / division_.blocks);
    if (!stage_out_) return product.run(thread, x, weight, bias, out);
    const Tensor dense = tensor::matrix(scratch + x_bytes(), DType::f32, rows, columns);
    product.run(thread, x, weight, nullptr, dense);
    kernels_.finish({rows_of(dense)}, bias, end_.accumulate, rows_of(out), 0, rows);
  }

 private:
  bool tiled() const { return division_.tiles > 1; }
  const dnnl::memory& weight_of(std::int64_t tile) const { return tiled() ? weight_.tile(tile) : weight_.whole(); }
  std::int64_t x_bytes() const { return stage_x_ ? aligned(division_.block * x_.columns * tensor::size_of(held_)) : 0; }

  Product& product(Products& products, bool last_block, bool last_tile) const {
    const std::int64_t tile = last_tile ? division_.tiles - 1 : 0,
                       task = tile * division_.blocks + (last_block ? division_.blocks - 1 : 0);
    ProductShape shape{.rows = division_.rows_of(task),
                       .inputs = weight_.inputs(),
                       .outputs = division_.columns_of(task),
                       .held = held_};
    if (!stage_out_) {
      shape.out = end_.out.dtype;
      shape.bias = static_cast<bool>(end_.bias);
      shape.accumulate = end_.accumulate;
    }
    return products.of(shape, weight_of(tile).get_desc());
  }

  const Kernels& kernels_;
  Division division_;
  const Tensor& x_;
  const PackedWeight& weight_;
  const ProductEnd& end_;
  DType held_;
  bool own_, stage_x_, stage_out_;
  Product* products_[2][2];  // by whether the block and the tile are the last
};

void WholeProducts::run(const Tensor& x, const PackedWeight& weight, const ProductEnd& end) {
  const Task task(*this, x, weight, end);
  if (scratch_.bytes() < task.bytes() * crew_.threads()) scratch_ = tensor::host_buffer(task.bytes() * crew_.threads());
  parallel_tasks(crew_, task.division().tasks(), task.ns(), [&](std::int64_t index, int thread) {
    task.run(index, thread, static_cast<char*>(scratch_.data()) + thread * task.bytes());
  });
}

}  // namespace thresher::device::cpu
