// What a job will do, decided before anything runs: the shards, and every value that changes the results' bytes. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace thresher::schedule {

struct ShardLimits {
  std::int64_t documents = 512;
  std::int64_t bytes = 0;  // of text, or 4 per token; 0 = total / 1024 within 256 KiB .. 64 MiB
};

// The size limit that `bytes` = 0 stands for.
std::int64_t default_shard_bytes(std::int64_t corpus_bytes);

// Cuts documents into shards by content alone: a shard ends when it holds `documents` documents or `bytes` bytes,
// whichever comes first. Feed the documents' sizes in order, then `finish`.
class ShardCutter {
 public:
  explicit ShardCutter(const ShardLimits& limits) : limits_(limits) {}
  void add(std::int64_t bytes);
  // First document of each shard, and the number of documents at the end; weights() holds each shard's bytes.
  std::vector<std::int64_t> finish();
  const std::vector<std::int64_t>& weights() const { return weights_; }
  std::int64_t longest() const { return longest_; }  // bytes of the longest document

 private:
  ShardLimits limits_;
  std::vector<std::int64_t> starts_{0};
  std::vector<std::int64_t> weights_;
  std::int64_t documents_ = 0, in_shard_ = 0, bytes_ = 0, longest_ = 0;
};

}  // namespace thresher::schedule
