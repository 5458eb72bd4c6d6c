// Models with random weights, as Hugging Face directories: for tests and for measuring speed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "thresher/base/file.h"
#include "thresher/model/config.h"
#include "thresher/tensor/dtype.h"

namespace thresher::model {

struct MakeModel {
  std::string architecture = "llama";  // llama, mistral, qwen2 or qwen3
  std::int64_t layers = 2;
  std::int64_t hidden = 64;
  std::int64_t intermediate = 172;
  std::int64_t query_heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t head_size = 16;
  std::int64_t vocabulary = 384;
  std::int64_t positions = 512;
  double rope_theta = 10000;
  bool tied_head = true;
  tensor::DType dtype = tensor::DType::bf16;
  std::uint64_t seed = 0;
  std::int64_t shard_bytes = 2'000'000'000;  // a file holds no more, unless one tensor does
};

// llama-1b, llama-8b, llama-small or tiny. Throws base::Error (usage) naming them for any other name.
MakeModel named_shape(std::string_view name);
std::string shape_names();

// The config.json of such a model; parse_config takes it.
std::string config_text(const MakeModel& model);

// Writes config.json, tokenizer.json (byte-level BPE of exactly this vocabulary) and the weights to a new or empty
// directory, a piece at a time. The same options give the same bytes on any machine. Throws base::Error: usage (sizes
// that do not fit each other), cannot_create, io.
void make_model(base::FileSystem& files, const base::Path& directory, const MakeModel& model);

}  // namespace thresher::model
