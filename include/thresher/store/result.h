// Results as plain columns, and the part file that holds one shard's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/hash.h"

namespace thresher::store {

// `/status` in results.h5; names are in its attribute `names`.
enum class Status : std::uint8_t { ok = 0, windowed = 1, rejected = 2, nan = 3, empty = 4 };
std::string_view name_of(Status status);

// Which columns a job writes.
struct Columns {
  bool pairs = false;
  bool per_token = false;
  std::int32_t top_k = 0;
  bool operator==(const Columns&) const = default;
};

// One row for every document of a shard, in order. Per-token columns hold scored tokens only, in order.
struct Rows {
  std::int64_t shard = 0;
  std::int64_t first = 0;  // number of the first document in the corpus
  std::vector<Status> status;
  std::vector<std::int64_t> tokens;  // tokens scored
  std::vector<double> logprob;       // sum of their natural logs; NaN unless ok or windowed
  std::vector<std::int64_t> bytes;   // UTF-8 bytes of the text (of the continuation, for pairs)
  std::vector<std::int64_t> words;
  std::vector<std::uint8_t> is_greedy;       // pairs
  std::vector<std::uint64_t> token_offsets;  // per token, count + 1, from 0
  std::vector<std::uint32_t> token_id;
  std::vector<float> token_logprob;
  std::vector<std::int32_t> token_rank;
  std::vector<float> token_entropy;
  std::vector<std::uint32_t> top_id;  // tokens x top_k
  std::vector<float> top_logprob;
  // Reasons of the documents that were not scored: number in the corpus, text.
  struct Reject {
    std::int64_t document = 0;
    std::string reason;
  };
  std::vector<Reject> rejects;

  std::int64_t count() const { return static_cast<std::int64_t>(status.size()); }
};

// What a part's trailer says about it. The trailer is the last thing in the file: 64 bytes after the HDF5 image.
struct PartInfo {
  std::int64_t shard = 0;
  std::int64_t first = 0;
  std::int64_t rows = 0;
  std::int64_t tokens = 0;  // rows of /token/..., 0 without them
  base::Digest digest;      // of everything before it: the image and the numbers above
  bool operator==(const PartInfo&) const = default;
};

// The complete bytes of a part file: an HDF5 image (built in memory, no disk, object times off) and its trailer. Equal
// rows give equal bytes. `job` is Plan::identity(): a part that names another plan's is never taken for this job's,
// whoever wrote it; without it only shard and documents are compared.
std::string build_part(const Rows& rows, const Columns& columns, const std::string& job = {});

// Reads the trailer alone: `end` holds the last 64 bytes, or more, of a part of `part_bytes` bytes.
PartInfo read_trailer(std::string_view end, std::int64_t part_bytes, const std::string& name);

// Reads the trailer and checks image and digest; throws base::Error (data) naming `name`.
PartInfo check_part(std::string_view bytes, const std::string& name);

// Rows of a checked part.
Rows read_part(std::string_view bytes, const Columns& columns, const std::string& name);

}  // namespace thresher::store
