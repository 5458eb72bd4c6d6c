// Pre-tokenizers: normalised text to words. Each takes one piece, and passes the pieces that it becomes on to the next
// as soon as it has them, so that a document is never held as a list of words.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/model.h"
#include "text/pattern.h"

namespace thresher::text {

struct Piece {
  std::string_view text;
  // So many bytes at the start of `text` come from the first character of the original text: 0 unless the piece
  // begins there. Metaspace's prepend_scheme "first" asks.
  std::size_t lead = 0;

  Piece part(std::size_t begin, std::size_t end) const {
    return {text.substr(begin, end - begin), lead > begin ? std::min(lead, end) - begin : 0};
  }
};

class PreTokenizer;

// What comes after a pre-tokenizer: the rest of them, then the model.
class Flow {
 public:
  Flow(std::span<const std::unique_ptr<PreTokenizer>> stages, const Model& model, Workspace& workspace,
       std::vector<TokenId>& ids)
      : stages_(stages), model_(model), workspace_(workspace), ids_(ids) {}

  // Empty pieces disappear.
  void pass(const Piece& piece) const;
  Workspace& workspace() const { return workspace_; }
  // Memory that no later stage uses.
  std::string& scratch() const;

 private:
  std::span<const std::unique_ptr<PreTokenizer>> stages_;
  const Model& model_;
  Workspace& workspace_;
  std::vector<TokenId>& ids_;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(const Piece& piece, const Flow& next) const = 0;
};

// What becomes of a delimiter.
enum class Behaviour { removed, isolated, merged_with_previous, merged_with_next, contiguous };

enum class PrependScheme { always, never, first };

std::unique_ptr<PreTokenizer> split_on(Pattern pattern, Behaviour behaviour, bool invert);
// With `as_bytes` the words stay bytes: the model knows what they stand for.
std::unique_ptr<PreTokenizer> byte_level(bool add_prefix_space, bool use_regex, bool as_bytes);
std::unique_ptr<PreTokenizer> metaspace(char32_t replacement, PrependScheme scheme, bool split);
std::unique_ptr<PreTokenizer> whitespace();
std::unique_ptr<PreTokenizer> whitespace_split();
std::unique_ptr<PreTokenizer> bert_pre_tokenizer();
std::unique_ptr<PreTokenizer> punctuation(Behaviour behaviour);
std::unique_ptr<PreTokenizer> digits(bool individual);
std::unique_ptr<PreTokenizer> character_delimiter(char32_t delimiter);
std::unique_ptr<PreTokenizer> fixed_length(std::size_t characters);

}  // namespace thresher::text
