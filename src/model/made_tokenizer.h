// The tokenizer of models with random weights: byte-level BPE of a given size, made without any text.
#pragma once

#include <cstdint>

#include "thresher/base/file.h"

namespace thresher::model {

constexpr std::int64_t made_bos = 0, made_eos = 1;
// Two special tokens and the bytes.
constexpr std::int64_t made_vocabulary_least = 2 + 256;

// tokenizer.json and tokenizer_config.json, with exactly `vocabulary` tokens.
void write_made_tokenizer(base::FileSystem& files, const base::Path& directory, std::int64_t vocabulary);

}  // namespace thresher::model
