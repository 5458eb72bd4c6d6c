#include "text/added.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

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
  for (const auto& [id, token] : tokens_) {
    Matcher& matcher = token.normalised ? normalised_ : plain_;
    if (!matcher.add(decoded(id), id)) {
      base::fail(base::Exit::data,
                 fmt::format("{}: the token \"{}\" is empty or equal to another one once it is normalised", field,
                             token.content));
    }
  }
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

bool AddedTokens::Matcher::add(std::string_view pattern, TokenId id) {
  if (pattern.empty()) return false;
  std::uint32_t node = 0;
  for (const char byte : pattern) {
    const auto [child, fresh] =
        nodes_[node].children.try_emplace(static_cast<unsigned char>(byte), static_cast<std::uint32_t>(nodes_.size()));
    node = child->second;
    if (fresh) nodes_.emplace_back();
  }
  if (nodes_[node].id) return false;
  nodes_[node].id = id;
  bool& first = first_[static_cast<unsigned char>(pattern[0])];
  first_count_ += first ? 0 : 1;
  first = true;
  return true;
}

std::optional<AddedTokens::Match> AddedTokens::Matcher::find(std::string_view text, std::size_t from) const {
  if (first_count_ == 0) return std::nullopt;
  for (std::size_t at = from; at < text.size(); ++at) {
    if (first_count_ == 1) {
      const auto* const found =
          static_cast<const char*>(std::memchr(text.data() + at, nodes_[0].children.begin()->first, text.size() - at));
      if (found == nullptr) return std::nullopt;
      at = static_cast<std::size_t>(found - text.data());
    } else if (!first_[static_cast<unsigned char>(text[at])]) {
      continue;
    }
    std::optional<Match> longest;
    std::uint32_t node = 0;
    for (std::size_t end = at; end < text.size();) {
      const auto child = nodes_[node].children.find(static_cast<unsigned char>(text[end]));
      if (child == nodes_[node].children.end()) break;
      node = child->second;
      ++end;
      if (nodes_[node].id) longest = Match{at, end, *nodes_[node].id};
    }
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
