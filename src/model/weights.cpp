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
  Loader(device::Device& device, TensorReader& reader, const ModelConfig& config, const Part& part, DType dtype)
      : device_(device), reader_(reader), config_(config), part_(part), dtype_(dtype) {}

  void load(Weights& weights) {
    if (embeds(part_) && scores(part_, config_)) {
      embed_and_head(weights);
    } else if (embeds(part_)) {
      table(weights.embedding, reader_.read({slice(embedding_slot())}));
    } else if (scores(part_, config_)) {
      weights.head.weight = pack(reader_.read({slice(head_slot())}));
    }
    for (std::int64_t half = part_.halves.first; half < part_.halves.last; ++half)
      weights.halves.push_back(half % 2 == 0 ? attention(half / 2) : mlp(half / 2));
    if (!scores(part_, config_)) return;
    weights.head.norm = vector({Slot::final_norm});
    weights.head.first_id = vocabulary(part_, config_).first;
    weights.head.cuts = cuts_inside(part_, vocabulary_cuts(config_));
  }

  std::int64_t bytes() const { return bytes_; }

 private:
  // Outputs that this shard holds, slots below each other in one matrix.
  Linear linear(std::initializer_list<Slot> matrices, std::initializer_list<Slot> biases, bool biased,
                std::int64_t layer) {
    Linear linear;
    linear.weight = pack(reader_.read(slices(matrices, layer)));
    if (biased) linear.bias = vector(biases, layer);
    return linear;
  }

  // Inputs that this shard holds.
  SummedLinear summed(Slot matrix, Slot bias, bool biased, std::int64_t layer) {
    SummedLinear linear;
    const Slice inputs = slice(matrix, layer);
    linear.weight = pack(reader_.read({inputs}), cuts_inside(part_, inputs.pieces.bounds));
    if (biased) linear.bias = vector({bias}, layer);
    return linear;
  }

  // Slots behind each other in one vector, f32.
  Vector vector(std::initializer_list<Slot> slots, std::int64_t layer = 0) {
    const HostMatrix host = converted(reader_.read(slices(slots, layer)), DType::f32);
    Vector vector;
    vector.memory = device_.allocate(host.view.elements() * tensor::size_of(DType::f32));
    vector.view = tensor::row_vector(vector.memory.data(), DType::f32, host.view.elements());
    device_.upload(tensor::row_vector(host.view.data, DType::f32, host.view.elements()), vector.view);
    bytes_ += vector.memory.bytes();
    return vector;
  }

  HalfBlock attention(std::int64_t layer) {
    HalfBlock half{.norm = vector({Slot::attention_norm}, layer), .body = {}};
    Attention& attention = half.body.emplace<Attention>();
    attention.qkv = linear({Slot::query, Slot::key, Slot::value}, {Slot::query_bias, Slot::key_bias, Slot::value_bias},
                           config_.qkv_bias, layer);
    attention.output = summed(Slot::output, Slot::output_bias, config_.output_bias, layer);
    if (config_.qk_norm) {
      attention.query_gain = vector({Slot::query_gain}, layer);
      attention.key_gain = vector({Slot::key_gain}, layer);
    }
    const Range queries = query_heads(part_, config_), keys = kv_heads(part_, config_);
    const std::int64_t group = config_.query_heads / config_.kv_heads;
    attention.options = {.query_heads = queries.count(),
                         .kv_heads = keys.count(),
                         .head_size = config_.head_size,
                         .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(config_.head_size))),
                         .window = config_.window.at(static_cast<std::size_t>(layer)),
                         .group = group,
                         .skipped = queries.first - keys.first * group};
    return half;
  }

  HalfBlock mlp(std::int64_t layer) {
    HalfBlock half{.norm = vector({Slot::mlp_norm}, layer), .body = {}};
    Mlp& mlp = half.body.emplace<Mlp>();
    mlp.gate_up = linear({Slot::gate, Slot::up}, {Slot::gate_bias, Slot::up_bias}, config_.mlp_bias, layer);
    mlp.down = summed(Slot::down, Slot::down_bias, config_.mlp_bias, layer);
    mlp.activation = config_.activation;
    return half;
  }

  void embed_and_head(Weights& weights) {
    const Slot embedding = embedding_slot(), head = head_slot();
    if (head != embedding) weights.head.weight = pack(reader_.read({slice(head)}));
    HostMatrix both = reader_.read({slice(embedding)});
    if (head == embedding) weights.head.weight = pack(both);
    table(weights.embedding, std::move(both));
  }

  // The table keeps bf16 as it is stored; in a bf16 model it is never wider.
  void table(Embedding& embedding, HostMatrix host) {
    const DType stored = host.view.dtype;
    host = converted(std::move(host), stored == DType::bf16 || dtype_ == DType::bf16 ? DType::bf16 : DType::f32);
    const Tensor& from = host.view;
    embedding.memory = device_.allocate(from.elements() * tensor::size_of(from.dtype));
    embedding.table = tensor::matrix(embedding.memory.data(), from.dtype, from.rows, from.columns);
    embedding.first_id = vocabulary(part_, config_).first;
    device_.upload(from, embedding.table);
    bytes_ += embedding.memory.bytes();
  }

  // A tied checkpoint may hold one of the two, under either name.
  Slot embedding_slot() const { return reader_.has(tensor_name(Slot::embedding)) ? Slot::embedding : Slot::head; }
  Slot head_slot() const { return reader_.has(tensor_name(Slot::head)) ? Slot::head : Slot::embedding; }

  Slice slice(Slot slot, std::int64_t layer = 0) const {
    return {tensor_name(slot, layer), tensor_pieces(slot, config_), held_pieces(slot, part_, config_)};
  }
  std::vector<Slice> slices(std::initializer_list<Slot> slots, std::int64_t layer) const {
    std::vector<Slice> result;
    for (const Slot slot : slots) result.push_back(slice(slot, layer));
    return result;
  }
  std::unique_ptr<device::Weight> pack(const HostMatrix& matrix, std::span<const std::int64_t> cuts = {}) {
    auto weight = device_.pack(matrix.view, dtype_, cuts);
    bytes_ += weight->bytes();
    return weight;
  }

  device::Device& device_;
  TensorReader& reader_;
  const ModelConfig& config_;
  const Part& part_;
  const DType dtype_;
  std::int64_t bytes_ = 0;
};

}  // namespace

Weights load_weights(device::Device& device, base::FileSystem& files, const base::Path& directory,
                     const ModelConfig& config, const StageOptions& options, LoadReport& report) {
  const base::Stopwatch watch;
  Checkpoint checkpoint(files, directory);
  Contents contents(checkpoint, check_tensors(checkpoint, config, directory.string()), config);
  TensorReader reader(checkpoint, contents, options.peers);
  Loader loader(device, reader, config, *options.part, options.dtype);
  Weights weights;
  loader.load(weights);
  report.bytes_read = reader.bytes_read();
  report.weight_bytes = loader.bytes();
  report.contents = contents.pack();
  report.seconds = watch.seconds();
  return weights;
}

base::Digest identity(base::FileSystem& files, const base::Path& directory, const ModelConfig& config,
                      std::span<const std::string> contents) {
  Checkpoint checkpoint(files, directory);
  Contents all(checkpoint, check_tensors(checkpoint, config, directory.string()), config);
  for (const std::string& some : contents) all.merge(some);
  const base::Digest digest = all.digest(base::read_all(files, directory / "config.json", config_size_limit));
  const std::string embedding = tensor_name(Slot::embedding), head = tensor_name(Slot::head);
  // Hugging Face ties the two in some versions and not in others.
  if (config.tied_head && checkpoint.find(embedding) && checkpoint.find(head) && !all.equal(embedding, head))
    base::fail(base::Exit::config, fmt::format("config.json: \"tie_word_embeddings\" is true, but the checkpoint holds "
                                               "\"{}\" and \"{}\" with different values; set it to false to use both",
                                               embedding, head));
  return digest;
}

}  // namespace thresher::model
