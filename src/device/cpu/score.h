// The streamed head: products of one row block and one vocabulary tile, each reduced while it is in the cache.
#pragma once

#include <vector>

#include "device/cpu/crew.h"
#include "device/cpu/kernels.h"
#include "device/cpu/product.h"

namespace thresher::device::cpu {

class Score {
 public:
  Score(const Kernels& kernels, Products& products, Crew& crew) : kernels_(kernels), products_(products), crew_(crew) {}

  // Dense hidden rows, of the dtype that the head is held as; adds to `time`.
  void run(const Tensor& hidden, const PackedWeight& head, const Tensor& targets, const ScoreOutput& out,
           ScoreTime& time);

  // Row blocks and vocabulary tiles in floats, and the results of tiles that wait to be merged.
  static constexpr std::int64_t row_block = 64;
  static constexpr std::int64_t part_bytes = std::int64_t{24} << 20;

 private:
  struct Chunk;
  void size(std::int64_t rows, const PackedWeight& head, std::int64_t top);
  void target_logits(const Chunk& chunk);
  void tiles(const Chunk& chunk, bool ranked);
  bool found_as_expected(const Chunk& chunk) const;
  void merge(const Chunk& chunk, const ScoreOutput& out);
  void merge_row(const Chunk& chunk, std::int64_t r, const ScoreOutput& out, std::vector<TopEntry>& best) const;
  Product& product(const Chunk& chunk, std::int64_t rows, std::int64_t columns, const dnnl::memory::desc& layout);

  const Kernels& kernels_;
  Products& products_;
  Crew& crew_;
  std::vector<Buffer> logits_, gathered_;  // per thread
  std::vector<TilePart> parts_;            // tile-major: parts_[tile * rows + row]
  std::vector<TopEntry> entries_;
  std::vector<float> found_, expected_, floors_;
  std::vector<double> product_seconds_;  // per thread
};

}  // namespace thresher::device::cpu
