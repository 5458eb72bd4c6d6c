// All weights of a Hugging Face model directory: model.safetensors, or the shards that model.safetensors.index.json
// names.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/model/safetensors.h"

namespace thresher::model {

// Which shard (a file name in the model's directory) holds each tensor.
using ShardIndex = std::map<std::string, std::string, std::less<>>;

// Reads model.safetensors.index.json; `name` is for messages. Shards are plain names that end in .safetensors: no path,
// no leading dot. Throws base::Error (data).
ShardIndex parse_shard_index(std::string_view json, const std::string& name);

// Keeps one file open at a time. Used by one thread.
class Checkpoint {
 public:
  // Reads every header; each tensor stands in exactly one file, and in the one that the index names. A file that is a
  // link out of the directory is refused, except into the blobs of Hugging Face's own cache. Throws base::Error:
  // no_input, data, io, config (pickled weights only).
  Checkpoint(base::FileSystem& files, const base::Path& directory);

  struct Entry {
    StoredTensor tensor;
    std::size_t file = 0;
  };
  // By name, sorted.
  const std::map<std::string, Entry, std::less<>>& tensors() const { return tensors_; }
  const Entry* find(std::string_view name) const;
  std::size_t file_count() const { return paths_.size(); }
  const base::Path& path_of(const Entry& entry) const { return paths_[entry.file]; }
  // Bytes of all tensors.
  std::int64_t bytes() const;

  void read(const Entry& entry, std::int64_t offset, std::span<std::byte> bytes);

 private:
  void add_file(base::FileSystem& files, const base::Path& path, const ShardIndex* index, const std::string& shard);

  base::FileSystem& files_;
  std::vector<base::Path> paths_;
  std::map<std::string, Entry, std::less<>> tensors_;
  std::unique_ptr<SafetensorsFile> open_;
  std::size_t open_index_ = 0;
};

}  // namespace thresher::model
