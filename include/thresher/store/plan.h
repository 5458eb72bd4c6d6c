// What fixes the bytes of a job's results.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace thresher::store {

// Everything that changes the bytes of the results, as named values ("model", "dtype", "window", ...). The value
// "output_mode" says what results.h5 is: "sharded", a table over the parts; anything else or none, all rows in one
// file.
struct Plan {
  std::map<std::string, std::string> values;
  std::vector<std::int64_t> shards;  // first document of each shard, and the number of documents at the end

  std::int64_t shard_count() const { return static_cast<std::int64_t>(shards.size()) - 1; }
  bool sharded() const;
  // 32 hexadecimal digits, another one for another plan: the digest of plan.json.
  std::string identity() const;
};

}  // namespace thresher::store
