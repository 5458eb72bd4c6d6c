#include "text/json_tree.h"

#include <fmt/core.h>

#include "text/utf8.h"
#include "thresher/base/check.h"

namespace thresher::text {

Field Field::operator[](std::string_view key) const {
  std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  if (node_ == absent) return Field(*tree_, absent, std::move(path));
  require(JsonTree::Kind::object, "an object");
  for (std::uint32_t at = node_ + 1; at < node().next; at = tree_->nodes[at + 1].next) {
    if (tree_->string(tree_->nodes[at]) == key) return Field(*tree_, at + 1, std::move(path));
  }
  return Field(*tree_, absent, std::move(path));
}

void Field::require(JsonTree::Kind wanted, std::string_view name) const {
  if (node_ == absent) fail("is missing");
  if (kind() != wanted) fail(fmt::format("is not {}", name));
}

std::string_view Field::text() const {
  require(JsonTree::Kind::string, "a string");
  return tree_->string(node());
}

bool Field::boolean() const {
  require(JsonTree::Kind::boolean, "true or false");
  return node().begin != 0;
}

std::int64_t Field::integer(std::int64_t least, std::int64_t most) const {
  require(JsonTree::Kind::integer, fmt::format("an integer from {} to {}", least, most));
  const auto value = static_cast<std::int64_t>(node().begin);
  if (value < least || value > most) fail(fmt::format("is {}, not an integer from {} to {}", value, least, most));
  return value;
}

double Field::number() const {
  if (node_ != absent && kind() == JsonTree::Kind::integer) return node().number;
  require(JsonTree::Kind::number, "a number");
  return node().number;
}

char32_t Field::character() const {
  const std::string_view content = text();
  if (content.empty() || decode_at(content.data()).size != content.size()) fail("is not one character");
  return decode_at(content.data()).code;
}

std::size_t Field::size() const {
  if (!is_object()) require(JsonTree::Kind::array, "an array");
  return node().size;
}

std::vector<Field> Field::elements() const {
  std::vector<Field> all;
  each([&](const Field& element) {
    all.push_back(element);
    all.back().path_ += fmt::format("[{}]", all.size() - 1);
  });
  return all;
}

std::string Field::path() const {
  return path_.empty() ? tree_->name : fmt::format("{}: {}", tree_->name, path_);
}

void Field::fail(const std::string& what) const {
  base::fail(base::Exit::data, fmt::format("{} {}", path(), what));
}

void Field::refuse(const std::string& what) const {
  base::fail(base::Exit::config, fmt::format("{} {}", path(), what));
}

}  // namespace thresher::text
