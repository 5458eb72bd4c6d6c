// model.safetensors.index.json: {"metadata": {...}, "weight_map": {"tensor": "shard file", ...}}.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "thresher/base/check.h"
#include "thresher/model/checkpoint.h"

namespace thresher::model {
namespace {

using base::Exit;
using nlohmann::json;

constexpr std::size_t shard_limit = 10'000, name_limit = 255;
constexpr int depth_limit = 64;

// Takes the pairs of `weight_map` as they come and skips everything else.
class IndexReader : public nlohmann::json_sax<json> {
 public:
  IndexReader(ShardIndex& index, const std::string& file) : index_(index), file_(file) {}

  bool found() const { return found_; }

  bool start_object(std::size_t) override {
    if (depth_ == 1 && map_next_) {
      if (found_) fail("\"weight_map\" stands twice");
      inside_ = found_ = true;
    }
    return deeper();
  }
  bool end_object() override {
    if (--depth_ == 1) inside_ = false;
    return true;
  }
  bool key(std::string& name) override {
    if (depth_ == 1) map_next_ = name == "weight_map";
    if (inside_ && depth_ == 2) tensor_ = name;
    return true;
  }
  bool string(std::string& text) override {
    if (depth_ != 2 || !inside_) return scalar();
    check_shard(text);
    if (!index_.emplace(tensor_, text).second) fail(fmt::format("the tensor \"{}\" stands twice", tensor_));
    if (static_cast<std::int64_t>(index_.size()) > safetensors_tensor_limit)
      fail(fmt::format("more than {} tensors", safetensors_tensor_limit));
    shards_.insert(text);
    if (shards_.size() > shard_limit) fail(fmt::format("more than {} shards", shard_limit));
    return true;
  }
  bool start_array(std::size_t) override {
    scalar();
    return deeper();
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool null() override { return scalar(); }
  bool boolean(bool) override { return scalar(); }
  bool number_integer(std::int64_t) override { return scalar(); }
  bool number_unsigned(std::uint64_t) override { return scalar(); }
  bool number_float(double, const std::string&) override { return scalar(); }
  bool binary(json::binary_t&) override { return scalar(); }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    fail(fmt::format("not valid JSON: {}", error.what()));
  }

 private:
  [[noreturn]] void fail(const std::string& message) const { base::fail(Exit::data, file_ + ": " + message); }

  bool deeper() {
    if (inside_ && depth_ == 2) fail(fmt::format("the shard of \"{}\" has to be a string", tensor_));
    if (++depth_ > depth_limit) fail(fmt::format("nested deeper than {} levels", depth_limit));
    return true;
  }
  // A value that is neither an object nor the name of a shard.
  bool scalar() const {
    if (depth_ == 0) fail("an object is expected");
    if (depth_ == 1 && map_next_) fail("\"weight_map\" has to be an object");
    if (depth_ == 2 && inside_) fail(fmt::format("the shard of \"{}\" has to be a string", tensor_));
    return true;
  }
  void check_shard(const std::string& shard) const {
    const bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
    if (!plain || shard.empty() || shard.front() == '.' || shard.size() > name_limit ||
        !shard.ends_with(".safetensors"))
      fail(fmt::format("the shard of \"{}\" has to be the plain name of a file that ends in .safetensors, found {}",
                       tensor_, json(shard.substr(0, 100)).dump(-1, ' ', true, json::error_handler_t::replace)));
  }

  ShardIndex& index_;
  const std::string& file_;
  std::set<std::string> shards_;
  std::string tensor_;
  int depth_ = 0;
  bool map_next_ = false, inside_ = false, found_ = false;
};

}  // namespace

ShardIndex parse_shard_index(std::string_view text, const std::string& name) {
  // The JSON library would take a zero byte for the end and leave what follows unread.
  if (text.find('\0') != std::string_view::npos)
    base::fail(Exit::data, name + ": not valid JSON: it holds a zero byte");
  ShardIndex index;
  IndexReader reader(index, name);
  json::sax_parse(text, &reader);
  if (!reader.found()) base::fail(Exit::data, name + ": the field \"weight_map\" is missing");
  if (index.empty()) base::fail(Exit::data, name + ": \"weight_map\" is empty");
  return index;
}

}  // namespace thresher::model
