// Sequences that begin with the same tokens: the common ones have to be computed once. Pure; results never depend on
// it, only speed does.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "thresher/text/tokenizer.h"

namespace thresher::engine {

// Fewer common tokens than this are not worth a family.
constexpr std::int64_t least_shared = 8;

// The tokens that one sequence feeds: some in front, and a part of a document.
struct FedTokens {
  std::span<const text::TokenId> lead, body;
  std::int64_t count() const { return static_cast<std::int64_t>(lead.size() + body.size()); }
};

std::int64_t common_tokens(const FedTokens& a, const FedTokens& b);

// Sequences in an order in which each begins with the first `inherited` tokens of the one before it.
struct Family {
  struct Member {
    std::int32_t index;
    std::int64_t inherited;  // 0 of the first one
  };
  std::vector<Member> members;
  // What has to be computed at most, of the blocks and of the head: every token that is not inherited, and one more for
  // each sequence that inherits, for it may ask another target of the last row that it inherits.
  std::int64_t rows = 0;
};

struct FamilyRoom {
  std::int64_t budget = 0;  // rows of a family
  std::int64_t most = 0;    // up to which a family of long sequences may have more, four times its first one's tokens
};

// The room that batches should have where the longest sequence has `longest` tokens, so that those which begin like it
// find some beside it.
std::int64_t most_rows(std::int64_t budget, std::int64_t longest);

// Every sequence is in one family, most are alone in theirs. What does not fit the room is cut, and each piece computes
// the common tokens again. Equal input gives equal output; families are ordered by their least index.
std::vector<Family> families(std::span<const FedTokens> sequences, const FamilyRoom& room);

}  // namespace thresher::engine
