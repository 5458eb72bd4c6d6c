#include "thresher/model/describe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "model/names.h"
#include "model/rope.h"
#include "model/tensor_reader.h"
#include "thresher/model/config.h"

namespace thresher::model {
namespace {

std::string human_bytes(std::int64_t bytes) {
  constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < units.size(); ++unit) size /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", size, units[unit]);
}

std::string line(std::string_view label, const std::string& text) {
  return fmt::format("{:<14}{}\n", label, text);
}

std::string describe_rope(const ModelConfig& config) {
  const RopeScaling& rope = config.rope;
  const std::string theta = fmt::format("theta {:g}", config.rope_theta);
  switch (rope.kind) {
    case RopeKind::plain:
      return theta;
    case RopeKind::linear:
      return fmt::format("{}, linear by {:g}", theta, rope.factor);
    case RopeKind::dynamic:
      return fmt::format("{}, dynamic by {:g} beyond {} positions", theta, rope.factor, rope.original_positions);
    case RopeKind::llama3:
      return fmt::format("{}, llama3 by {:g} from {} positions", theta, rope.factor, rope.original_positions);
    case RopeKind::yarn:
      return fmt::format("{}, yarn by {:g} from {} positions, magnitude {:.6g}", theta, rope.factor,
                         rope.original_positions, rope_magnitude(config));
  }
  return theta;
}

std::string describe_windows(const ModelConfig& config) {
  std::int64_t layers = 0, window = 0;
  for (const std::int64_t width : config.window) {
    layers += width > 0;
    window = std::max(window, width);
  }
  return layers == 0 ? "every token before it"
                     : fmt::format("{} tokens in {} of {} layers, else all", window, layers, config.layers);
}

// Bytes of weights with products in `size` bytes a number: a tied head is held twice, as a table and as a matrix.
std::int64_t weight_bytes(const ModelConfig& config, std::int64_t size) {
  return (config.parameters() + (config.tied_head ? config.vocabulary * config.hidden : 0)) * size;
}

std::string describe_tensors(const Checkpoint& checkpoint) {
  std::string text;
  for (const auto& [name, entry] : checkpoint.tensors())
    text += fmt::format("{:<56} {:<5} [{}] {}\n", name, entry.tensor.dtype, fmt::join(entry.tensor.shape, ", "),
                        human_bytes(entry.tensor.end - entry.tensor.begin));
  return text;
}

}  // namespace

std::string describe_model(base::FileSystem& files, const base::Path& directory, const DescribeOptions& options) {
  const ModelConfig config = read_config(files, directory);
  Checkpoint checkpoint(files, directory);
  const std::map<std::string, Slot> used = check_tensors(checkpoint, config, directory.string());
  std::map<std::string, std::int64_t> dtypes;
  for (const auto& [name, slot] : used) ++dtypes[checkpoint.find(name)->tensor.dtype];
  std::string stored;
  for (const auto& [dtype, count] : dtypes)
    stored += fmt::format("{}{} of {}", stored.empty() ? "" : ", ", count, dtype);

  std::string text = line("model", directory.string());
  text += line("architecture", config.architecture);
  text += line("parameters",
               fmt::format("{} ({:.3g} million)", config.parameters(), static_cast<double>(config.parameters()) / 1e6));
  text +=
      line("layers", fmt::format("{} of width {}, feed-forward {}", config.layers, config.hidden, config.intermediate));
  text += line("heads",
               fmt::format("{} query, {} key/value, size {}{}{}", config.query_heads, config.kv_heads, config.head_size,
                           config.qk_norm ? ", QK-norm" : "", config.qkv_bias ? ", biases" : ""));
  text += line("vocabulary", fmt::format("{}, head {}", config.vocabulary, config.tied_head ? "tied" : "of its own"));
  text += line("positions", fmt::format("{}, {}", config.positions, describe_rope(config)));
  text += line("attends to", describe_windows(config));
  text += line("tensors", fmt::format("{}: {} in {} file{}, {}", used.size(), stored, checkpoint.file_count(),
                                      checkpoint.file_count() == 1 ? "" : "s", human_bytes(checkpoint.bytes())));
  text += line("memory", fmt::format("{} as bf16, {} as f32", human_bytes(weight_bytes(config, 2)),
                                     human_bytes(weight_bytes(config, 4))));
  if (options.digest) {
    Contents contents(checkpoint, used, config);
    TensorReader reader(checkpoint, contents, nullptr);
    for (const auto& [name, slot] : used) {
      const Pieces pieces = tensor_pieces(slot, config);
      reader.read({{name, pieces, {0, pieces.count()}}});
    }
    text += line("digest", contents.digest(base::read_all(files, directory / "config.json", config_size_limit)).hex());
  }
  if (options.tensors) text += describe_tensors(checkpoint);
  return text;
}

}  // namespace thresher::model
