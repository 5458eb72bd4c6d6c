#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/names.h"
#include "model/tensor_reader.h"
#include "thresher/base/check.h"
#include "thresher/base/clock.h"
#include "thresher/base/machine.h"
#include "thresher/model/precision.h"

namespace thresher::model {
namespace {

using tensor::DType;
using tensor::Tensor;

class Loader {
 public:
  Loader(device::Device& device, TensorReader& reader, const ModelConfig& config, const StageOptions& options)
      : device_(device),
        reader_(reader),
        config_(config),
        part_(*options.part),
        dtype_(options.dtype),
        head_dtype_(options.int8_head ? dtype_ : dense(dtype_)) {}

  void load_ends(Weights& weights) {
    if (embeds(part_) && scores(part_, config_)) {
      embed_and_head(weights);
    } else if (embeds(part_)) {
      table(weights.embedding, reader_.read({slice(embedding_slot())}));
    } else if (scores(part_, config_)) {
      weights.head.weight = pack(reader_.read({slice(head_slot())}), head_dtype_);
    }
    if (!scores(part_, config_)) return;
    weights.head.norm = vector({Slot::final_norm});
    weights.head.first_id = vocabulary(part_, config_).first;
    weights.head.cuts = cuts_inside(part_, vocabulary_cuts(config_));
  }

  void load_layers(Weights& weights, const StreamPlan& plan) {
    for (std::int64_t half = part_.halves.first; half < part_.halves.last; ++half) {
      const bool streamed = plan.streamed[static_cast<std::size_t>(half / 2 - part_.halves.first / 2)];
      residence_ = streamed ? device::Residence::host : device::Residence::device;
      weights.halves.push_back(half % 2 == 0 ? attention(half / 2) : mlp(half / 2));
    }
  }

  std::int64_t bytes() const { return bytes_; }
  std::int64_t streamed_bytes() const { return streamed_bytes_; }

 private:
  // Outputs that this shard holds, slots below each other in one matrix.
  Linear linear(std::initializer_list<Slot> matrices, std::initializer_list<Slot> biases, bool biased,
                std::int64_t layer) {
    Linear linear;
    linear.weight = pack(reader_.read(slices(matrices, layer)), dtype_);
    if (biased) linear.bias = vector(biases, layer);
    return linear;
  }

  // Inputs that this shard holds.
  SummedLinear summed(Slot matrix, Slot bias, bool biased, std::int64_t layer) {
    SummedLinear linear;
    const Slice inputs = slice(matrix, layer);
    linear.cuts = cuts_inside(part_, inputs.pieces.bounds);
    linear.weight = pack(reader_.read({inputs}), dtype_, linear.cuts);
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
    if (head != embedding) weights.head.weight = pack(reader_.read({slice(head)}), head_dtype_);
    HostMatrix both = reader_.read({slice(embedding)});
    if (head == embedding) weights.head.weight = pack(both, head_dtype_);
    table(weights.embedding, std::move(both));
  }

  // The table keeps bf16 as it is stored; in a bf16 model it is never wider.
  void table(Embedding& embedding, HostMatrix host) {
    const DType stored = host.view.dtype;
    host = converted(std::move(host), stored == DType::bf16 || dense(dtype_) == DType::bf16 ? DType::bf16 : DType::f32);
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
  std::unique_ptr<device::Weight> pack(const HostMatrix& matrix, DType dtype, std::span<const std::int64_t> cuts = {}) {
    auto weight = device_.pack(matrix.view, dtype, cuts, residence_);
    (residence_ == device::Residence::device ? bytes_ : streamed_bytes_) += weight->bytes();
    return weight;
  }

  device::Device& device_;
  TensorReader& reader_;
  const ModelConfig& config_;
  const Part& part_;
  const DType dtype_, head_dtype_;
  device::Residence residence_ = device::Residence::device;
  std::int64_t bytes_ = 0, streamed_bytes_ = 0;
};

std::string size_text(std::int64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.2f} MiB", mib) : fmt::format("{:.2f} GiB", mib / 1024);
}

// What stays and what does not, on a device with this much left for layers.
StreamPlan plan_layers(const ModelConfig& config, const StageOptions& options, std::int64_t room,
                       std::int64_t free_before) {
  const std::vector<std::int64_t> layers = layer_bytes(config, *options.part, options.dtype);
  const std::int64_t all = std::accumulate(layers.begin(), layers.end(), std::int64_t{0});
  if (auto plan = plan_stream(layers, room, options.streaming)) return std::move(*plan);
  const std::int64_t largest = *std::max_element(layers.begin(), layers.end());
  const bool off = options.streaming == Streaming::off;
  base::fail(base::Exit::config,
             fmt::format("{}: {} are needed on the GPU, {} are left for them of {}, beside "
                         "embedding, head and batches of {} tokens; {}cut the model into more stages (--layout with "
                         "pp), or lower --tokens-per-batch or --window",
                         off ? fmt::format("the {} layers do not fit, and --stream-layers is off", layers.size())
                             : "not even two layers fit at a time",
                         size_text(off ? all : 2 * largest), size_text(std::max<std::int64_t>(0, room)),
                         size_text(free_before), options.capacity.tokens, off ? "allow --stream-layers auto, " : ""));
}

void check_host_memory(const StreamPlan& plan) {
  const std::int64_t there = base::available_memory();
  if (plan.bytes <= there) return;
  base::fail(base::Exit::os,
             fmt::format("{} of {} layers do not fit the GPU and need {} of pinned host memory, {} are "
                         "available: run on more GPUs (--layout with pp), with fewer ranks on a host, or on a host "
                         "with more memory",
                         plan.count(), plan.streamed.size(), size_text(plan.bytes), size_text(there)));
}

}  // namespace

struct WeightLoader::Parts {
  const base::Stopwatch watch;
  device::Device& device;
  const ModelConfig& config;
  const StageOptions& options;
  const std::int64_t free_before;
  Checkpoint checkpoint;
  Contents contents;
  TensorReader reader;
  Loader loader;
  StreamPlan plan;

  Parts(device::Device& on, base::FileSystem& files, const base::Path& directory, const ModelConfig& model,
        const StageOptions& wanted)
      : device(on),
        config(model),
        options(wanted),
        free_before(on.free_bytes()),
        checkpoint(files, directory),
        contents(checkpoint, check_tensors(checkpoint, model, directory.string()), model),
        reader(checkpoint, contents, wanted.peers),
        loader(on, reader, model, wanted) {}
};

WeightLoader::WeightLoader(device::Device& device, base::FileSystem& files, const base::Path& directory,
                           const ModelConfig& config, const StageOptions& options)
    : parts_(std::make_unique<Parts>(device, files, directory, config, options)) {}

WeightLoader::~WeightLoader() = default;

void WeightLoader::load_ends(Weights& weights) {
  parts_->loader.load_ends(weights);
}

StreamPlan WeightLoader::load_layers(Weights& weights) {
  Parts& parts = *parts_;
  const bool own_memory = !parts.device.host_memory();
  const std::int64_t spare =
      own_memory ? spare_bytes(parts.config, *parts.options.part, parts.options.dtype, parts.free_before) : 0;
  const std::int64_t room = parts.device.free_bytes() - spare;
  parts.plan = plan_layers(parts.config, parts.options, room, parts.free_before);
  if (own_memory) check_host_memory(parts.plan);
  parts.loader.load_layers(weights, parts.plan);
  return parts.plan;
}

LoadReport WeightLoader::report() const {
  const Parts& parts = *parts_;
  return {.seconds = parts.watch.seconds(),
          .bytes_read = parts.reader.bytes_read(),
          .weight_bytes = parts.loader.bytes(),
          .layers = static_cast<int>(parts.plan.streamed.size()),
          .streamed_layers = parts.plan.count(),
          .streamed_bytes = parts.loader.streamed_bytes(),
          .contents = parts.contents.pack()};
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
