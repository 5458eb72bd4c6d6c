// What a tokenizer's model does: one word to ids.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace thresher::text {

struct Workspace;

// Immutable; encode may run in many threads at once, each with its own workspace.
class Model {
 public:
  virtual ~Model() = default;

  // The ids of one word (not empty), appended.
  virtual void encode(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const = 0;

  // Number of tokens as the library counts them: the first id that an added token gets.
  virtual std::size_t token_count() const = 0;
  virtual std::size_t id_limit() const = 0;
  virtual std::optional<TokenId> id_of(std::string_view token) const = 0;
  // Empty for an id that no token has.
  virtual std::string_view token_of(TokenId id) const = 0;
  virtual bool holds(TokenId id) const = 0;
};

}  // namespace thresher::text
