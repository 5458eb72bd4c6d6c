// Expected numbers of tests/fixtures/scores, and a transformer's numbers for the same documents.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/model/transformer.h"

namespace thresher::model::test {

// A document that fits the model's window: each token after the first is scored.
struct ExpectedDocument {
  std::vector<std::int32_t> tokens;
  std::vector<double> logprob, entropy, gap;
  std::vector<std::int32_t> rank;
};

struct ExpectedScores {
  base::Path model;
  std::vector<ExpectedDocument> documents;
  std::int64_t longest = 0;
};

// The documents of tests/fixtures/scores/<name>.json that are scored in one window.
ExpectedScores read_expected(const std::string& name);
// False where the model's directory is not there; then the reason is printed.
bool is_present(const ExpectedScores& expected);

// All of one document's tokens as a batch's next sequence.
void append(PackedBatch& batch, const std::vector<std::int32_t>& tokens);

}  // namespace thresher::model::test
