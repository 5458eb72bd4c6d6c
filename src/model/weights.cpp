#include "model/weights.h"

#include <fmt/format.h>

#include <cmath>

#include "model/names.h"
#include "model/tensor_reader.h"
#include "thresher/base/check.h"
#include "thresher/base/clock.h"

namespace thresher::model {
namespace {

using tensor::DType;
using tensor::Tensor;

class Loader {
 public:
  Loader(device::Device& device, TensorReader& reader, const ModelConfig& config, DType dtype)
      : device_(device), reader_(reader), config_(config), dtype_(dtype) {}

  // Slots below each other in one matrix.
  Linear linear(std::initializer_list<Slot> matrices, std::initializer_list<Slot> biases, bool biased,
                std::int64_t layer) {
    Linear linear;
    const HostMatrix host = reader_.read(names(matrices, layer));
    linear.weight = device_.pack(host.view, dtype_);
    bytes_ += linear.weight->bytes();
    if (biased) linear.bias = vector(biases, layer);
    return linear;
  }

  // Slots behind each other in one vector, f32.
  Vector vector(std::initializer_list<Slot> slots, std::int64_t layer = 0) {
    const HostMatrix host = converted(reader_.read(names(slots, layer)), DType::f32);
    Vector vector;
    vector.memory = device_.allocate(host.view.elements() * tensor::size_of(DType::f32));
    vector.view = tensor::row_vector(vector.memory.data(), DType::f32, host.view.elements());
    device_.upload(tensor::row_vector(host.view.data, DType::f32, host.view.elements()), vector.view);
    bytes_ += vector.memory.bytes();
    return vector;
  }

  Block block(std::int64_t layer) {
    Block block;
    block.attention_norm = vector({Slot::attention_norm}, layer);
    block.mlp_norm = vector({Slot::mlp_norm}, layer);
    Attention& attention = block.attention;
    attention.qkv = linear({Slot::query, Slot::key, Slot::value}, {Slot::query_bias, Slot::key_bias, Slot::value_bias},
                           config_.qkv_bias, layer);
    attention.output = linear({Slot::output}, {Slot::output_bias}, config_.output_bias, layer);
    if (config_.qk_norm) {
      attention.query_gain = vector({Slot::query_gain}, layer);
      attention.key_gain = vector({Slot::key_gain}, layer);
    }
    attention.options = {.query_heads = config_.query_heads,
                         .kv_heads = config_.kv_heads,
                         .head_size = config_.head_size,
                         .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(config_.head_size))),
                         .window = config_.window.at(static_cast<std::size_t>(layer))};
    block.mlp.gate_up = linear({Slot::gate, Slot::up}, {Slot::gate_bias, Slot::up_bias}, config_.mlp_bias, layer);
    block.mlp.down = linear({Slot::down}, {Slot::down_bias}, config_.mlp_bias, layer);
    block.mlp.activation = config_.activation;
    return block;
  }

  // The table keeps bf16 as it is stored; in a bf16 model it is never wider.
  void embed_and_head(Weights& weights) {
    const std::string embedding = tensor_name(Slot::embedding), head = tensor_name(Slot::head);
    const bool has_both = reader_.has(embedding) && reader_.has(head);
    if (has_both) weights.head = pack_head(reader_.read({head}));
    HostMatrix table = reader_.read({reader_.has(embedding) ? embedding : head});
    if (has_both && config_.tied_head) require_equal(embedding, head);
    if (!weights.head) weights.head = pack_head(table);
    const DType stored = table.view.dtype;
    table = converted(std::move(table), stored == DType::bf16 || dtype_ == DType::bf16 ? DType::bf16 : DType::f32);
    weights.table_memory = device_.allocate(table.view.elements() * tensor::size_of(table.view.dtype));
    weights.table = tensor::matrix(weights.table_memory.data(), table.view.dtype, table.view.rows, table.view.columns);
    device_.upload(table.view, weights.table);
    bytes_ += weights.table_memory.bytes();
  }

  std::int64_t bytes() const { return bytes_; }

 private:
  static std::vector<std::string> names(std::initializer_list<Slot> slots, std::int64_t layer) {
    std::vector<std::string> result;
    for (const Slot slot : slots) result.push_back(tensor_name(slot, layer));
    return result;
  }
  std::unique_ptr<device::Weight> pack_head(const HostMatrix& matrix) {
    auto head = device_.pack(matrix.view, dtype_);
    bytes_ += head->bytes();
    return head;
  }
  // Hugging Face ties the two in some versions and not in others.
  void require_equal(const std::string& embedding, const std::string& head) {
    if (!reader_.equal(embedding, head))
      base::fail(base::Exit::config,
                 fmt::format("config.json: \"tie_word_embeddings\" is true, but the checkpoint holds "
                             "\"{}\" and \"{}\" with different values; set it to false to use both",
                             embedding, head));
  }

  device::Device& device_;
  TensorReader& reader_;
  const ModelConfig& config_;
  const DType dtype_;
  std::int64_t bytes_ = 0;
};

}  // namespace

Weights load_weights(device::Device& device, base::FileSystem& files, const base::Path& directory,
                     const ModelConfig& config, DType dtype, LoadReport& report) {
  const base::Stopwatch watch;
  Checkpoint checkpoint(files, directory);
  check_tensors(checkpoint, config, directory.string());
  TensorReader reader(checkpoint);
  Loader loader(device, reader, config, dtype);
  Weights weights;
  loader.embed_and_head(weights);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) weights.blocks.push_back(loader.block(layer));
  weights.final_norm = loader.vector({Slot::final_norm});
  report.bytes_read = reader.bytes_read();
  report.weight_bytes = loader.bytes();
  report.digest = reader.digest(base::read_all(files, directory / "config.json", config_size_limit));
  report.seconds = watch.seconds();
  return weights;
}

}  // namespace thresher::model
