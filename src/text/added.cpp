#include "text/added.h"

#include <fmt/core.h>

#include <algorithm>

#include "text/unicode.h"
#include "text/utf8.h"
#include "thresher/base/check.h"

namespace thresher::text {
namespace {

std::string normalise(const std::string& text, std::span<const std::unique_ptr<Normaliser>> normalisers) {
  std::string result = text;
  std::string spare;
  MatchMemory match;
  Draft draft{result, spare, 0, match};
  for (const auto& normaliser : normalisers) normaliser->apply(draft);
  return result;
}

}  // namespace

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, const Model& model,
                         std::span<const std::unique_ptr<Normaliser>> normalisers, const std::string& field) {
  auto next = static_cast<TokenId>(model.token_count());
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    auto id = find(token.content);
    if (!id) id = model.id_of(token.content);
    if (!id) id = next++;
    if (*id > highest_id) base::fail(base::Exit::data, fmt::format("{}: id {}, at most {}", field, *id, highest_id));
    normalised_content_.erase(*id);
    if (token.normalised) {
      std::string content = normalise(token.content, normalisers);
      if (content != token.content) normalised_content_[*id] = std::move(content);
    }
    ids_[token.content] = *id;
    tokens_[*id] = token;
    if (token.special) special_.push_back(token.content);
  }
  std::ranges::sort(special_);
  const auto matcher_of = [&](bool normalised) {
    Patterns patterns;
    for (const auto& [id, token] : tokens_) {
      if (token.normalised == normalised) patterns.emplace_back(decoded(id), id);
    }
    std::ranges::sort(patterns);
    const auto same = std::ranges::adjacent_find(patterns, {}, &Patterns::value_type::first);
    const bool has_empty = !patterns.empty() && patterns.front().first.empty();
    if (same != patterns.end() || has_empty) {
      base::fail(base::Exit::data,
                 fmt::format("{}: the token \"{}\" is empty or equal to another one once it is normalised", field,
                             content(has_empty ? patterns.front().second : same->second)));
    }
    return Matcher(patterns);
  };
  plain_ = matcher_of(false);
  normalised_ = matcher_of(true);
}

std::optional<TokenId> AddedTokens::find(std::string_view content) const {
  const auto found = ids_.find(content);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::string_view AddedTokens::decoded(TokenId id) const {
  const auto normalised = normalised_content_.find(id);
  return normalised != normalised_content_.end() ? normalised->second : tokens_.at(id).content;
}

bool AddedTokens::is_special(std::string_view content) const {
  const auto at = std::lower_bound(special_.begin(), special_.end(), content);
  return at != special_.end() && *at == content;
}

AddedTokens::Matcher::Matcher(const Patterns& patterns)
    : trie_({patterns.begin(), patterns.end()}), empty_(patterns.empty()) {
  const auto same_first = [&](const auto& pattern) { return pattern.first[0] == patterns[0].first[0]; };
  if (!empty_ && std::ranges::all_of(patterns, same_first)) only_first_ = patterns[0].first[0];
}

std::optional<AddedTokens::Match> AddedTokens::Matcher::find(std::string_view text, std::size_t from) const {
  if (empty_) return std::nullopt;
  for (std::size_t at = from; at < text.size(); ++at) {
    if (only_first_) {
      at = text.find(*only_first_, at);
      if (at == std::string_view::npos) return std::nullopt;
    } else if (!trie_.starts_key(static_cast<unsigned char>(text[at]))) {
      continue;
    }
    std::optional<Match> longest;
    trie_.prefixes(text.substr(at), [&](std::size_t size, TokenId id) { longest = Match{at, at + size, id}; });
    if (longest) return longest;
  }
  return std::nullopt;
}

// The match with the spaces that the token takes along; nothing where it has to be a word of its own and is not.
std::optional<AddedTokens::Part> AddedTokens::widen(std::string_view text, const Match& match,
                                                    std::size_t covered) const {
  const AddedToken& token = tokens_.at(match.id);
  Part part{match.begin, match.end, match.id};
  if (token.single_word) {
    if (match.begin > 0 && is_word(decode_before(text.data() + match.begin).code)) return std::nullopt;
    if (match.end < text.size() && is_word(decode_at(text.data() + match.end).code)) return std::nullopt;
  }
  if (token.left_strip) {
    while (part.begin > 0) {
      const CodePoint before = decode_before(text.data() + part.begin);
      if (!is_space(before.code)) break;
      part.begin -= before.size;
    }
    part.begin = std::max(part.begin, covered);
  }
  if (token.right_strip) {
    while (part.end < text.size()) {
      const CodePoint after = decode_at(text.data() + part.end);
      if (!is_space(after.code)) break;
      part.end += after.size;
    }
  }
  return part;
}

}  // namespace thresher::text
