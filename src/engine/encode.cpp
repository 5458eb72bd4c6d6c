#include "thresher/engine/encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "thresher/base/check.h"

namespace thresher::engine {
namespace {

using Item = EncodedShard::Item;

// What Python's str.rstrip takes off, in UTF-8.
constexpr std::array<std::string_view, 29> white_space = {" ",
                                                          "\t",
                                                          "\n",
                                                          "\v",
                                                          "\f",
                                                          "\r",
                                                          "\x1c",
                                                          "\x1d",
                                                          "\x1e",
                                                          "\x1f",
                                                          "\xc2\x85",
                                                          "\xc2\xa0",
                                                          "\xe1\x9a\x80",
                                                          "\xe2\x80\x80",
                                                          "\xe2\x80\x81",
                                                          "\xe2\x80\x82",
                                                          "\xe2\x80\x83",
                                                          "\xe2\x80\x84",
                                                          "\xe2\x80\x85",
                                                          "\xe2\x80\x86",
                                                          "\xe2\x80\x87",
                                                          "\xe2\x80\x88",
                                                          "\xe2\x80\x89",
                                                          "\xe2\x80\x8a",
                                                          "\xe2\x80\xa8",
                                                          "\xe2\x80\xa9",
                                                          "\xe2\x80\xaf",
                                                          "\xe2\x81\x9f",
                                                          "\xe3\x80\x80"};

void reject(EncodedShard& shard, Item& item, std::string reason) {
  shard.tokens.resize(shard.offsets.back());
  item.status = store::Status::rejected;
  item.reason = std::move(reason);
}

// Where the continuation's tokens begin. `text` is the whole pair.
std::int64_t encoded_context(std::string_view text, std::int64_t context, const text::Tokenizer& tokenizer) {
  std::vector<TokenId> ids;
  tokenizer.encode(text.substr(0, static_cast<std::size_t>(context)), false, ids);
  return static_cast<std::int64_t>(ids.size());
}

void encode_text(const store::Documents& documents, std::int64_t i, const EncodePolicy& policy, EncodedShard& shard,
                 Item& item) {
  const std::string_view text = documents.text_of(i);
  std::string_view scored = text;
  policy.tokenizer->encode(text, false, shard.tokens);
  if (shard.pairs) {
    const std::int64_t context = trimmed_context(text, documents.split[static_cast<std::size_t>(i)]);
    const auto tokens = static_cast<std::int64_t>(shard.tokens.size() - shard.offsets.back());
    item.score_from = context == 0 ? 0 : std::min(tokens, encoded_context(text, context, *policy.tokenizer));
    scored = text.substr(static_cast<std::size_t>(documents.split[static_cast<std::size_t>(i)]));
  }
  item.bytes = static_cast<std::int64_t>(scored.size());
  item.words = store::count_words(scored);
}

void take_tokens(const store::Documents& documents, std::int64_t i, EncodedShard& shard, Item& item) {
  const auto tokens = documents.tokens_of(i);
  shard.tokens.insert(shard.tokens.end(), tokens.begin(), tokens.end());
  const auto at = static_cast<std::size_t>(i);
  if (shard.pairs) item.score_from = documents.split[at];
  item.bytes = documents.bytes[at];
  item.words = documents.words[at];
}

void encode_document(const store::Documents& documents, std::int64_t i, const EncodePolicy& policy, EncodedShard& shard,
                     Item& item) {
  const store::Intake intake = documents.status[static_cast<std::size_t>(i)];
  if (intake != store::Intake::ok) return reject(shard, item, std::string(store::name_of(intake)));
  if (documents.offsets[i] == documents.offsets[i + 1])
    return reject(shard, item, std::string(store::name_of(store::Intake::empty)));
  try {
    if (documents.tokens.empty())
      encode_text(documents, i, policy, shard, item);
    else
      take_tokens(documents, i, shard, item);
  } catch (const base::Error& error) {
    if (error.code() != base::Exit::data) throw;  // no fault of the document
    return reject(shard, item, error.what());
  }
  const auto begin = shard.tokens.begin() + static_cast<std::ptrdiff_t>(shard.offsets.back());
  const auto foreign = std::find_if(begin, shard.tokens.end(), [&](TokenId id) { return id >= policy.vocabulary; });
  if (foreign != shard.tokens.end())
    return reject(shard, item,
                  fmt::format("token id {}, but the model's vocabulary has {}", *foreign, policy.vocabulary));
  item.bare = shard.pairs && item.score_from == 0 && policy.lead.empty() && !policy.bare_lead.empty();
}

}  // namespace

std::int64_t trimmed_context(std::string_view text, std::int64_t split) {
  std::string_view context = text.substr(0, static_cast<std::size_t>(split));
  const auto ends = [&](std::string_view space) { return context.ends_with(space); };
  for (;;) {
    const auto space = std::find_if(white_space.begin(), white_space.end(), ends);
    if (space == white_space.end()) return static_cast<std::int64_t>(context.size());
    context.remove_suffix(space->size());
  }
}

EncodedShard encode(const store::Documents& documents, std::int64_t shard, const EncodePolicy& policy) {
  EncodedShard encoded;
  encoded.shard = shard;
  encoded.first = documents.first;
  encoded.pairs = !documents.split.empty();
  encoded.items.resize(static_cast<std::size_t>(documents.count()));
  for (std::int64_t i = 0; i < documents.count(); ++i) {
    encode_document(documents, i, policy, encoded, encoded.items[static_cast<std::size_t>(i)]);
    encoded.offsets.push_back(encoded.tokens.size());
  }
  return encoded;
}

}  // namespace thresher::engine
