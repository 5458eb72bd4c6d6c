#include "thresher/schedule/plan.h"

#include <algorithm>

namespace thresher::schedule {

std::int64_t default_shard_bytes(std::int64_t corpus_bytes) {
  return std::clamp<std::int64_t>(corpus_bytes / 1024, 256 << 10, 64 << 20);
}

void ShardCutter::add(std::int64_t bytes) {
  ++documents_;
  ++in_shard_;
  bytes_ += bytes;
  longest_ = std::max(longest_, bytes);
  if (in_shard_ < limits_.documents && bytes_ < limits_.bytes) return;
  starts_.push_back(documents_);
  weights_.push_back(bytes_);
  in_shard_ = bytes_ = 0;
}

std::vector<std::int64_t> ShardCutter::finish() {
  if (in_shard_ > 0) {
    starts_.push_back(documents_);
    weights_.push_back(bytes_);
    in_shard_ = bytes_ = 0;
  }
  return starts_;
}

}  // namespace thresher::schedule
