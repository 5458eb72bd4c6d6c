// Documents to the tokens that are scored.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thresher/engine/window.h"
#include "thresher/store/document.h"
#include "thresher/store/result.h"
#include "thresher/text/tokenizer.h"

namespace thresher::engine {

using text::TokenId;

// How documents become sequences; the same for a whole job.
struct EncodePolicy {
  const text::Tokenizer* tokenizer = nullptr;  // not needed for a token corpus
  std::vector<TokenId> lead;                   // in front of every document (and window)
  std::vector<TokenId> bare_lead;              // in front of a continuation without context where `lead` is empty
  std::int64_t vocabulary = 0;                 // ids of the model are below it
};

// A shard ready for the model: document i holds tokens [offsets[i], offsets[i + 1]), without the lead.
struct EncodedShard {
  std::int64_t shard = 0;
  std::int64_t first = 0;
  bool pairs = false;
  std::vector<std::uint64_t> offsets{0};
  std::vector<TokenId> tokens;
  struct Item {
    store::Status status = store::Status::ok;
    std::string reason;           // why it is rejected
    std::int64_t score_from = 0;  // first token to score (pairs)
    bool bare = false;            // takes EncodePolicy::bare_lead
    std::int64_t bytes = 0, words = 0;
  };
  std::vector<Item> items;

  std::int64_t count() const { return static_cast<std::int64_t>(items.size()); }
  std::int64_t length(std::int64_t i) const { return static_cast<std::int64_t>(offsets[i + 1] - offsets[i]); }
};

// Encodes documents of one shard. A document that cannot be encoded becomes a rejected row with a reason.
// Pairs are cut as lm-evaluation-harness cuts them: white space at the end of the context belongs to the continuation,
// and the continuation's tokens are those of the whole text after as many as the context alone has.
EncodedShard encode(const store::Documents& documents, std::int64_t shard, const EncodePolicy& policy);

// The bytes before the continuation once white space at the end of the context has moved over; `split` is where the
// context ends in `text`.
std::int64_t trimmed_context(std::string_view text, std::int64_t split);

}  // namespace thresher::engine
