// Results to formats other tools read, and the words `inspect` prints about our files.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/file.h"

namespace thresher::store {

enum class ExportFormat : std::uint8_t { jsonl, csv };

// Writes results.h5 as one JSON object or CSV line per document: id, status, tokens, logprob, bytes, words,
// [is_greedy], [token: {id, logprob, rank, entropy, top_id, top_logprob}] (JSONL only). Streams; `out` gets pieces of
// text. Returns the number of documents. Throws base::Error (no_input, data).
std::int64_t export_results(const base::Path& results, ExportFormat format,
                            const std::function<void(std::string_view)>& out);

// The documents with the greatest and the least mean log-probability per token (`tokens` of at least `least_tokens`).
struct Extreme {
  std::int64_t document = 0;
  std::string id;
  std::int64_t tokens = 0;
  double mean_logprob = 0;
};
struct Extremes {
  std::vector<Extreme> most, least;
};
Extremes find_extremes(const base::Path& results, std::int64_t count, std::int64_t least_tokens);

// Lines that describe a corpus, results or part file: format, version, rows, columns, sizes, status counts.
std::string describe_hdf5(const base::Path& path);

}  // namespace thresher::store
