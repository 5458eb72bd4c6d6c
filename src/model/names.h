// Where each weight of a Llama-shaped decoder stands in a checkpoint, and what shape it has there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "thresher/model/checkpoint.h"
#include "thresher/model/config.h"
#include "thresher/model/partition.h"

namespace thresher::model {

enum class Slot : std::uint8_t {
  embedding,
  head,
  final_norm,
  attention_norm,
  mlp_norm,
  query,
  key,
  value,
  output,
  gate,
  up,
  down,
  query_bias,
  key_bias,
  value_bias,
  output_bias,
  gate_bias,
  up_bias,
  down_bias,
  query_gain,
  key_gain
};

// "model.layers.3.self_attn.q_proj.weight"; the layer is ignored by slots outside of the blocks.
std::string tensor_name(Slot slot, std::int64_t layer = 0);
// [outputs, inputs] or [width].
std::vector<std::int64_t> tensor_shape(Slot slot, const ModelConfig& config);
// The slots that this configuration fills in every block.
std::vector<Slot> block_slots(const ModelConfig& config);

// How a tensor is divided for reading: into pieces [bounds[i], bounds[i + 1]) of its rows or of its columns. The same
// for every layout, so that a model is known by its pieces whoever reads them.
enum class Axis : std::uint8_t { rows, columns };
struct Pieces {
  Axis axis = Axis::rows;
  std::vector<std::int64_t> bounds;

  std::int64_t count() const { return static_cast<std::int64_t>(bounds.size()) - 1; }
};
Pieces tensor_pieces(Slot slot, const ModelConfig& config);
// The pieces that a tensor shard needs of it.
Range held_pieces(Slot slot, const Part& part, const ModelConfig& config);

// Checks that the checkpoint holds every weight in its shape and in a dtype that is read, and nothing else that belongs
// to the model: a bias or a norm left out silently would give wrong numbers. Frequencies of the rotation, which old
// checkpoints hold, are passed over; tensors outside of the decoder (a value head) with a warning. Throws base::Error
// (data, config). Returns the tensors that are used, by name.
std::map<std::string, Slot> check_tensors(const Checkpoint& checkpoint, const ModelConfig& config,
                                          const std::string& directory);

}  // namespace thresher::model
