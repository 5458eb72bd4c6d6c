#include "thresher/model/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "thresher/base/check.h"

namespace thresher::model {
namespace {

using base::Exit;
using base::Path;

constexpr std::int64_t index_limit = 64'000'000;

bool lies_in(const Path& path, const Path& directory) {
  return std::mismatch(directory.begin(), directory.end(), path.begin(), path.end()).first == directory.end();
}

// config.json, model.safetensors and the like may be links to anywhere: these names are ours. A shard's name comes from
// inside a file, where it could make any file of this machine look like a weight: no link of it leads out of the
// directory, but into Hugging Face's cache: <repository>/snapshots/<revision>/x.safetensors -> ../../blobs/<hash>
// (which openat2's RESOLVE_BENEATH would refuse). Whatever a name stands for has to be a regular file.
void check_shard(const Path& path, const Path& directory) {
  std::error_code error;
  const Path target = std::filesystem::weakly_canonical(path, error);
  const Path root = std::filesystem::weakly_canonical(directory, error);
  if (error || lies_in(target, root)) return;  // opening it tells the error
  const Path snapshots = root.parent_path();
  const Path blobs = std::filesystem::weakly_canonical(snapshots.parent_path() / "blobs", error);
  if (!error && snapshots.filename() == "snapshots" && lies_in(target, blobs)) return;
  base::fail(Exit::data, fmt::format("{}: a link to {}, outside of the model's directory; give the directory that the "
                                     "shards lie in as the model, or copy them",
                                     path.string(), target.string()));
}

[[noreturn]] void fail_without_weights(base::FileSystem& files, const Path& directory) {
  const std::vector<std::string> names = files.list(directory);
  const auto pickle = std::find_if(names.begin(), names.end(), [](const std::string& name) {
    return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth") || name.ends_with(".ckpt");
  });
  if (pickle != names.end())
    base::fail(
        Exit::config,
        fmt::format("{}: {} holds pickled weights, which can run code and are never read; convert them: python3 -c "
                    "\"from transformers import AutoModelForCausalLM as M; "
                    "M.from_pretrained('{}').save_pretrained('converted')\"",
                    directory.string(), *pickle, directory.string()));
  base::fail(Exit::no_input, fmt::format("{}: neither model.safetensors nor model.safetensors.index.json is there",
                                         directory.string()));
}

}  // namespace

Checkpoint::Checkpoint(base::FileSystem& files, const Path& directory) : files_(files) {
  const Path single = directory / "model.safetensors", index_path = directory / "model.safetensors.index.json";
  if (files.exists(single)) {
    add_file(files, single, nullptr, "");
    return;
  }
  if (!files.exists(index_path)) fail_without_weights(files, directory);
  const ShardIndex index = parse_shard_index(base::read_all(files, index_path, index_limit), index_path.string());
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : index) shards.insert(shard);
  for (const std::string& shard : shards) {
    check_shard(directory / shard, directory);
    add_file(files, directory / shard, &index, shard);
  }
  for (const auto& [tensor, shard] : index)
    if (!tensors_.contains(tensor))
      base::fail(Exit::data, fmt::format("{}: tensor \"{}\" is not in {}, where the index says it is",
                                         index_path.string(), tensor, shard));
}

void Checkpoint::add_file(base::FileSystem& files, const Path& path, const ShardIndex* index,
                          const std::string& shard) {
  const SafetensorsFile file(files, path);
  for (const StoredTensor& tensor : file.tensors()) {
    if (index) {
      const auto found = index->find(tensor.name);
      if (found == index->end() || found->second != shard)
        base::fail(Exit::data, fmt::format("{}: holds tensor \"{}\", which the index {}", path.string(), tensor.name,
                                           found == index->end() ? "does not name" : "places in " + found->second));
    }
    tensors_.emplace(tensor.name, Entry{tensor, paths_.size()});
  }
  paths_.push_back(path);
}

const Checkpoint::Entry* Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::int64_t Checkpoint::bytes() const {
  std::int64_t total = 0;
  for (const auto& [name, entry] : tensors_) total += entry.tensor.end - entry.tensor.begin;
  return total;
}

void Checkpoint::read(const Entry& entry, std::int64_t offset, std::span<std::byte> bytes) {
  if (!open_ || open_index_ != entry.file) {
    open_ = std::make_unique<SafetensorsFile>(files_, paths_[entry.file]);
    open_index_ = entry.file;
  }
  open_->read(entry.tensor, offset, bytes);
}

}  // namespace thresher::model
