#include "text/unigram.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "text/utf8.h"
#include "text/workspace.h"
#include "thresher/base/check.h"

namespace thresher::text {
namespace {

constexpr double unknown_penalty = 10.0;

// What has been decided is passed on when so many bytes have been read, so that memory does not grow with the text.
constexpr std::size_t bytes_held = std::size_t{1} << 16;

std::vector<std::pair<std::string_view, std::uint32_t>> keys_of(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, std::uint32_t>> keys;
  for (TokenId id = 0; id < vocabulary.id_limit(); ++id) {
    if (const std::string_view token = vocabulary.token(id); !token.empty()) keys.emplace_back(token, id);
  }
  return keys;
}

}  // namespace

Unigram::Unigram(Vocabulary vocabulary, std::vector<double> scores, UnigramOptions options)
    : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), options_(options), trie_(keys_of(vocabulary_)) {
  double lowest = std::numeric_limits<double>::infinity();
  for (const double score : scores_) lowest = std::min(lowest, score);
  unknown_score_ = lowest - unknown_penalty;
  for (unsigned byte = 0; byte < 256; ++byte) bytes_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
}

void Unigram::encode(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const {
  if (word.size() > WordCache::longest_word) return encode_whole(word, workspace.unigram, ids);
  WordCache::Entry& entry = workspace.cache.entry(word);
  if (WordCache::matches(entry, word)) {
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
    return;
  }
  const std::size_t before = ids.size();
  encode_whole(word, workspace.unigram, ids);
  WordCache::keep(entry, word, std::span(ids).subspan(before));
}

TokenId Unigram::unknown() const {
  if (options_.unknown) return *options_.unknown;
  base::fail(base::Exit::data, "the tokenizer has no unk_id, and the text has a character without a token");
}

void Unigram::encode_whole(std::string_view word, UnigramScratch& scratch, std::vector<TokenId>& ids) const {
  using Node = UnigramScratch::Node;
  scratch.nodes.assign(1, Node{0, 0, 0, true});
  std::size_t base = 0;  // where nodes begin
  std::size_t reach = 0;
  for (std::size_t at = 0; at < word.size();) {
    reach = std::max(reach, extend(word, at, base, scratch));
    at += decode_at(word.data() + at).size;
    const Node& here = scratch.nodes[at - base];
    const bool decided = reach == at && here.id != options_.unknown;
    if (decided && at - base >= bytes_held && at < word.size()) {
      const Node start{here.score, at, 0, true};
      pass_best(word, base, at, scratch, ids);
      scratch.nodes.assign(1, start);
      base = at;
    }
  }
  pass_best(word, base, word.size(), scratch, ids);
}

// Tries every token that begins at `at`; returns the end of the longest.
std::size_t Unigram::extend(std::string_view word, std::size_t at, std::size_t base, UnigramScratch& scratch) const {
  const double score = scratch.nodes[at - base].score;
  const std::size_t character = decode_at(word.data() + at).size;
  bool has_character = false;
  std::size_t reach = at + character;
  const auto offer = [&](std::size_t end, double candidate, TokenId id) {
    if (end - base >= scratch.nodes.size()) scratch.nodes.resize(end - base + 1);
    auto& node = scratch.nodes[end - base];
    if (!node.reached || candidate > node.score) node = {candidate, at, id, true};
  };
  trie_.prefixes(word.substr(at), [&](std::size_t size, TokenId id) {
    offer(at + size, scores_[id] + score, id);
    has_character = has_character || size == character;
    reach = std::max(reach, at + size);
  });
  if (!has_character) {
    const std::size_t end = at + character;
    const bool wins = end - base >= scratch.nodes.size() || !scratch.nodes[end - base].reached ||
                      unknown_score_ + score > scratch.nodes[end - base].score;
    if (wins) offer(end, unknown_score_ + score, unknown());
  }
  return reach;
}

// Neighbouring unknown pieces become one.
void Unigram::pass_best(std::string_view word, std::size_t begin, std::size_t end, UnigramScratch& scratch,
                        std::vector<TokenId>& ids) const {
  auto& pieces = scratch.pieces;
  pieces.clear();
  bool fusing = false;
  for (std::size_t at = end; at > begin;) {
    const auto& node = scratch.nodes[at - begin];
    const bool is_unknown = node.id == options_.unknown;
    if (is_unknown && fusing) {
      pieces.back().first = node.begin;
    } else {
      pieces.emplace_back(node.begin, at);
    }
    fusing = is_unknown;
    at = node.begin;
  }
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    add_piece(word.substr(piece->first, piece->second - piece->first), ids);
  }
}

void Unigram::add_piece(std::string_view piece, std::vector<TokenId>& ids) const {
  if (const auto id = vocabulary_.find(piece)) return ids.push_back(*id);
  const auto known = [this](char byte) { return bytes_[static_cast<unsigned char>(byte)].has_value(); };
  if (!options_.byte_fallback || !std::ranges::all_of(piece, known)) return ids.push_back(unknown());
  for (const char byte : piece) ids.push_back(*bytes_[static_cast<unsigned char>(byte)]);
}

}  // namespace thresher::text
