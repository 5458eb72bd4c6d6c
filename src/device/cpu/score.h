// The streamed head: products of one row block and one vocabulary tile, each reduced while it is in the cache.
#pragma once

#include <functional>
#include <vector>

#include "device/cpu/crew.h"
#include "device/cpu/int8_product.h"
#include "device/cpu/kernels.h"
#include "device/cpu/product.h"

namespace thresher::device::cpu {

// Hidden rows are dense, of the dtype that the head is held as; or quantised in one piece, as an int8 head is.
class Score {
 public:
  Score(const Kernels& kernels, Products& products, Crew& crew) : kernels_(kernels), products_(products), crew_(crew) {}

  // See Device::target_logits. Targets elsewhere are left alone.
  void target_logits(const Tensor& hidden, const PackedWeight& head, const std::int32_t* targets, std::int64_t first_id,
                     float* out);
  void target_logits(const Tensor& hidden, const Int8Weight& head, const std::int32_t* targets, std::int64_t first_id,
                     float* out);
  // See Device::score; adds to `time`.
  void run(const Tensor& hidden, const Weight& head, const ScoreQuestion& question, const ScoreParts& parts,
           ScoreTime& time);
  // The answer of a head without rows.
  static void nothing(const ScoreQuestion& question, const ScoreParts& parts);

  // Row blocks and vocabulary tiles in floats, and the results of tiles that wait to be merged.
  static constexpr std::int64_t row_block = 64;
  static constexpr std::int64_t part_bytes = std::int64_t{24} << 20;

 private:
  struct Chunk;
  // Logits of a row block (of a chunk) and a vocabulary tile, dense.
  using TileProduct = std::function<void(int thread, std::int64_t block, std::int64_t tile, float* logits)>;
  TileProduct product(const Chunk& chunk, const PackedWeight& head);
  TileProduct product(const Chunk& chunk, const Int8Weight& head) const;
  void size(std::int64_t rows, std::int64_t tiles, std::int64_t top);
  void size_gathered(const PackedWeight& head);
  void tiles(const Chunk& chunk, const TileProduct& product);
  void merge(const Chunk& chunk) const;
  void merge_row(const Chunk& chunk, std::int64_t r) const;
  Product& product_of(const Tensor& hidden, const PackedWeight& head, std::int64_t rows, std::int64_t columns,
                      const dnnl::memory::desc& layout);

  const Kernels& kernels_;
  Products& products_;
  Crew& crew_;
  std::vector<Buffer> logits_, gathered_;  // per thread
  std::vector<TilePart> parts_;            // tile-major: parts_[tile * rows + row]
  std::vector<TopEntry> entries_;
  std::vector<float> floors_;
  std::vector<double> product_seconds_;  // per thread
};

}  // namespace thresher::device::cpu
