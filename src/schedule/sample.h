// What int8 costs: a sample of the corpus' documents is scored in int8 and in bf16, and their numbers are compared.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "thresher/engine/encode.h"
#include "thresher/store/document.h"
#include "thresher/store/result.h"
#include "thresher/store/run_directory.h"

namespace thresher::schedule {

// Of the scored tokens of a sample, int8 against bf16.
struct Int8Error {
  std::int64_t documents = 0, tokens = 0;
  double mean = 0, greatest = 0;  // |difference| of a token's log-prob
  // The perplexity in int8 by that in bf16, over these tokens.
  double ratio = 1;
  // Where 95 % of samples would put it, documents drawn one by one; of fewer than two documents nothing is known.
  std::optional<std::pair<double, double>> interval;
};

// Documents drawn by the corpus' identity alone, with replacement ignored: as many as hold about sample_tokens, at
// least one where any has two tokens, at most sample_documents. A document longer than all of the sample is taken only
// if it is the only one. Each is a shard of its own, numbered from 0.
constexpr std::int64_t sample_tokens = 16384, sample_documents = 256;
std::vector<engine::EncodedShard> draw_sample(store::Source& corpus, const std::string& identity,
                                              const engine::EncodePolicy& policy);

// Rows with log-probs of tokens, of the same documents in the same order. Documents without a score in one of them are
// left out.
Int8Error compare(std::span<const store::Rows> in_int8, std::span<const store::Rows> in_bf16);

// As results.h5 and summary.json have it (report_json.cpp).
std::string int8_error_json(const Int8Error& error);
store::RunDirectory::Attributes attributes_of(const std::optional<Int8Error>& error);

}  // namespace thresher::schedule
