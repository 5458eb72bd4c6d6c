// tokenizer.json's bytes to a JsonTree; the only file of this floor that knows nlohmann/json.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/assemble.h"
#include "text/json_tree.h"
#include "thresher/base/check.h"
#include "thresher/base/file.h"
#include "thresher/text/tokenizer.h"

namespace thresher::text {
namespace {

constexpr std::int64_t most_bytes = std::int64_t{512} << 20;
constexpr std::size_t deepest = 64;
// A value takes 24 bytes. Files of Hugging Face have 6 bytes a value and more.
constexpr std::size_t values_of_any_file = std::size_t{4} << 20;
constexpr std::size_t bytes_per_value = 6;

// A number with a point or an exponent as Rust's serde_json reads it by default: the digits that fit 64 bits, times or
// over a power of ten, rounded twice. Scores that are equal up to the last bit decide how Unigram cuts runs of the same
// character, so the same rounding is needed.
double read_double(std::string_view text) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const bool negative = text.starts_with('-');
  std::uint64_t digits = 0;
  std::int64_t exponent = 0;
  bool full = false;
  bool fraction = false;
  std::size_t at = negative ? 1 : 0;
  for (; at < text.size() && text[at] != 'e' && text[at] != 'E'; ++at) {
    if (text[at] == '.') {
      fraction = true;
      full = false;
      continue;
    }
    const auto digit = static_cast<std::uint64_t>(text[at] - '0');
    full = full || digits > (most - digit) / 10;
    if (!full) digits = digits * 10 + digit;
    if (!full && fraction) --exponent;
    if (full && !fraction) ++exponent;
  }
  if (at < text.size()) {
    constexpr std::int64_t far = 100'000;
    std::int64_t value = 0;
    const bool below = text.substr(at + 1).starts_with('-');
    for (++at; at < text.size(); ++at) {
      if (text[at] >= '0' && text[at] <= '9') value = std::min(far, value * 10 + (text[at] - '0'));
    }
    exponent += below ? -value : value;
  }
  auto result = static_cast<double>(digits);
  for (; exponent < -308 && result != 0; exponent += 308) result /= 1e308;
  const double power = std::pow(10.0, static_cast<double>(std::min<std::int64_t>(308, std::abs(exponent))));
  result = exponent >= 0 ? result * power : result / power;
  return negative ? -result : result;
}

// Receives what the parser reads. A false answer ends the parse with the message in failure().
class TreeBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeBuilder(JsonTree& tree, std::size_t bytes) : tree_(tree), most_(values_of_any_file + bytes / bytes_per_value) {}

  const std::string& failure() const { return failure_; }

  bool null() override { return add(JsonTree::Kind::null); }
  bool boolean(bool value) override {
    return add(JsonTree::Kind::boolean, [&](JsonTree::Node& node) { node.begin = value ? 1 : 0; });
  }
  bool number_integer(number_integer_t value) override {
    return add(JsonTree::Kind::integer, [&](JsonTree::Node& node) {
      node.begin = static_cast<std::uint64_t>(value);
      node.number = static_cast<double>(value);
    });
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
      return number_integer(static_cast<std::int64_t>(value));
    }
    return add(JsonTree::Kind::number, [&](JsonTree::Node& node) { node.number = static_cast<double>(value); });
  }
  bool number_float(number_float_t /*value*/, const string_t& text) override {
    return add(JsonTree::Kind::number, [&](JsonTree::Node& node) { node.number = read_double(text); });
  }
  bool string(string_t& value) override {
    return add(JsonTree::Kind::string, [&](JsonTree::Node& node) {
      node.begin = tree_.bytes.size();
      node.size = value.size();
      tree_.bytes += value;
    });
  }
  bool key(string_t& value) override {
    --tree_.nodes[open_.back()].size;  // the value counts, not the key
    return string(value);
  }
  bool binary(binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*size*/) override { return open(JsonTree::Kind::object); }
  bool start_array(std::size_t /*size*/) override { return open(JsonTree::Kind::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& error) override {
    failure_ = fmt::format("is not JSON at byte {}: {}", position, error.what());
    return false;
  }

 private:
  template <typename Fill>
  bool add(JsonTree::Kind kind, Fill&& fill) {
    if (tree_.nodes.size() >= most_) {
      failure_ = fmt::format("has more than {} values", most_);
      return false;
    }
    if (!open_.empty()) ++tree_.nodes[open_.back()].size;
    JsonTree::Node& node = tree_.nodes.emplace_back();
    node.kind = kind;
    node.next = static_cast<std::uint32_t>(tree_.nodes.size());
    fill(node);
    return true;
  }
  bool add(JsonTree::Kind kind) {
    return add(kind, [](JsonTree::Node&) {});
  }
  bool open(JsonTree::Kind kind) {
    if (open_.size() >= deepest) {
      failure_ = fmt::format("nests deeper than {} levels", deepest);
      return false;
    }
    const auto at = static_cast<std::uint32_t>(tree_.nodes.size());
    if (!add(kind)) return false;
    open_.push_back(at);
    return true;
  }
  bool close() {
    tree_.nodes[open_.back()].next = static_cast<std::uint32_t>(tree_.nodes.size());
    open_.pop_back();
    return true;
  }

  JsonTree& tree_;
  std::size_t most_;
  std::vector<std::uint32_t> open_;
  std::string failure_;
};

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer(std::string_view json, const std::string& name) {
  if (std::ssize(json) > most_bytes) {
    base::fail(base::Exit::data, fmt::format("{} has {} bytes, at most {} are read", name, json.size(), most_bytes));
  }
  // The JSON library would take a zero byte for the end and leave what follows unread.
  if (json.find('\0') != std::string_view::npos)
    base::fail(base::Exit::data, name + " is not valid JSON: it holds a zero byte");
  JsonTree tree;
  tree.name = name;
  TreeBuilder builder(tree, json.size());
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &builder)) {
    base::fail(base::Exit::data, fmt::format("{} {}", name, builder.failure()));
  }
  return assemble_tokenizer(Field::root(tree), json);
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& tokenizer_json) {
  return parse_tokenizer(base::read_all(base::real_files(), tokenizer_json, most_bytes), tokenizer_json.string());
}

}  // namespace thresher::text
