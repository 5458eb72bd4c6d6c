#include "device/cuda/chunks.h"

#include <fmt/format.h>

#include <algorithm>

#include "thresher/base/check.h"
#include "thresher/device/softmax.h"

namespace thresher::device::cuda {
namespace {

constexpr std::int64_t alignment = 256;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

ScorePlan plan_score(const ScoreShape& shape, std::int64_t limit) {
  ScorePlan plan;
  plan.tiles = (shape.outputs + vocabulary_tile - 1) / vocabulary_tile;
  plan.head_bytes = aligned(vocabulary_tile * (aligned(shape.inputs * shape.element_bytes)));
  const std::int64_t row = logits_buffers * vocabulary_tile * 4 + plan.tiles * shape.part_bytes;
  const std::int64_t room = (limit - plan.head_bytes - (logits_buffers + 1) * alignment) / row;
  if (room < 1)
    base::fail(base::Exit::internal, fmt::format("a head of {} x {} needs {} bytes of scratch and {} a row, room is "
                                                 "for {}",
                                                 shape.outputs, shape.inputs, plan.head_bytes, row, limit));
  plan.rows = std::min(std::clamp<std::int64_t>(shape.rows, 1, most_chunk_rows), room);
  // Whole blocks of the products where the rows are cut at all.
  if (plan.rows < shape.rows && plan.rows >= 128) plan.rows = plan.rows / 128 * 128;
  plan.chunks = (shape.rows + plan.rows - 1) / plan.rows;
  plan.logits_bytes = aligned(plan.rows * vocabulary_tile * 4);
  plan.parts_bytes = aligned(plan.rows * plan.tiles * shape.part_bytes);
  return plan;
}

}  // namespace thresher::device::cuda
