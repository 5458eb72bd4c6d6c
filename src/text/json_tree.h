// JSON as the rest of this floor reads it: a flat list of nodes and typed fields that know their path. Only load.cpp
// knows the library that parses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace thresher::text {

struct JsonTree {
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object };

  // Children of an array follow it; those of an object do, each behind its key (a string node).
  struct Node {
    Kind kind = Kind::null;
    std::uint32_t next = 0;   // the node after this one and everything in it
    std::uint64_t begin = 0;  // string: of its bytes; integer, boolean: the value
    union {
      std::uint64_t size;  // string: bytes; array, object: children
      double number;       // integer, number: the value
    };
    Node() : size(0) {}
  };

  std::string name;  // what messages call the document
  std::vector<Node> nodes;
  std::string bytes;  // of all strings

  std::string_view string(const Node& node) const { return std::string_view(bytes).substr(node.begin, node.size); }
};

// A value of the document, or the place where one is missing. Whatever has the wrong type fails with its path.
class Field {
 public:
  static Field root(const JsonTree& tree) { return Field(tree, 0, {}); }

  // Neither missing nor null.
  bool present() const { return node_ != absent && kind() != JsonTree::Kind::null; }
  bool is_string() const { return node_ != absent && kind() == JsonTree::Kind::string; }
  bool is_array() const { return node_ != absent && kind() == JsonTree::Kind::array; }
  bool is_object() const { return node_ != absent && kind() == JsonTree::Kind::object; }

  Field operator[](std::string_view key) const;
  std::string_view text() const;
  bool boolean() const;
  bool boolean_or(bool otherwise) const { return present() ? boolean() : otherwise; }
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  double number() const;
  // A string of one character.
  char32_t character() const;

  std::size_t size() const;
  std::vector<Field> elements() const;
  // Calls take(element) for an array, with this field's own path.
  template <typename Take>
  void each(Take&& take) const {
    require(JsonTree::Kind::array, "an array");
    for (std::uint32_t at = node_ + 1; at < node().next; at = tree_->nodes[at].next) take(Field(*tree_, at, path_));
  }
  // Calls take(key, value) for an object, with this field's own path.
  template <typename Take>
  void each_member(Take&& take) const {
    require(JsonTree::Kind::object, "an object");
    for (std::uint32_t at = node_ + 1; at < node().next; at = tree_->nodes[at + 1].next) {
      take(tree_->string(tree_->nodes[at]), Field(*tree_, at + 1, path_));
    }
  }

  // "tokenizer.json: model.vocab"
  std::string path() const;
  // Throws base::Error: data for what is malformed, config for what is not supported.
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  static constexpr std::uint32_t absent = ~std::uint32_t{0};

  Field(const JsonTree& tree, std::uint32_t node, std::string path)
      : tree_(&tree), node_(node), path_(std::move(path)) {}
  const JsonTree::Node& node() const { return tree_->nodes[node_]; }
  JsonTree::Kind kind() const { return node().kind; }
  void require(JsonTree::Kind kind, std::string_view name) const;

  const JsonTree* tree_;
  std::uint32_t node_;
  std::string path_;
};

}  // namespace thresher::text
