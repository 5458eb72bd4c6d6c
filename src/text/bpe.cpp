#include "text/bpe.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <functional>

#include "text/byte_alphabet.h"
#include "text/utf8.h"
#include "text/workspace.h"
#include "thresher/base/check.h"

namespace thresher::text {
namespace {

// Words of more symbols are merged with a heap; below, looking at every pair is faster.
constexpr std::size_t few_symbols = 48;
constexpr std::uint32_t no_symbol = ~std::uint32_t{0};

}  // namespace

MergeTable::MergeTable(std::size_t merges)
    : slots_(std::bit_ceil(std::max<std::size_t>(16, 2 * merges + 1))),
      mask_(slots_.size() - 1),
      shift_(64 - std::countr_zero(slots_.size())) {}

void MergeTable::add(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t key = key_of(left, right);
  std::size_t slot = slot_of(key);
  while (slots_[slot].key != free_key && slots_[slot].key != key) slot = (slot + 1) & mask_;
  slots_[slot] = {key, merge};
}

bool Bpe::takes_bytes(const Vocabulary& vocabulary, const BpeOptions& options) {
  if (!options.prefix.empty() || !options.suffix.empty()) return false;
  if (!options.byte_fallback) return true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t character = ByteAlphabet::instance().character(static_cast<unsigned char>(byte));
    if (!vocabulary.find(utf8_of(character))) return false;
  }
  return true;
}

Bpe::Bpe(Vocabulary vocabulary, const std::vector<Rule>& rules, BpeOptions options)
    : vocabulary_(std::move(vocabulary)),
      options_(std::move(options)),
      merges_(rules.size()),
      divisible_(!options_.byte_words && options_.prefix.empty() && options_.suffix.empty() &&
                 !options_.ignore_merges) {
  for (std::size_t rank = 0; rank < rules.size(); ++rank) {
    const Rule& rule = rules[rank];
    merges_.add(rule.left, rule.right, {static_cast<std::uint32_t>(rank), rule.result});
  }
  for (TokenId id = 0; id < vocabulary_.id_limit(); ++id) {
    const std::string_view token = vocabulary_.token(id);
    if (token.empty()) continue;
    const CodePoint point = decode_at(token.data());
    if (point.size == token.size()) characters_.set(point.code, id);
    if (options_.ignore_merges && options_.byte_words) {
      if (const auto bytes = ByteAlphabet::instance().bytes_of(token)) byte_words_.add(*bytes, id);
    }
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (options_.byte_words) {
      bytes_[byte] = characters_.find(ByteAlphabet::instance().character(static_cast<unsigned char>(byte)));
    } else {
      bytes_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
    }
  }
  if (options_.unknown) unknown_ = vocabulary_.find(*options_.unknown);
  if (divisible_) note_joints(rules);
}

void Bpe::note_joints(const std::vector<Rule>& rules) {
  joints_.resize(joint_bits);
  for (const Rule& rule : rules) {
    const std::string_view left = vocabulary_.token(rule.left);
    const std::string_view right = vocabulary_.token(rule.right);
    if (left.empty() || right.empty()) continue;
    const char32_t before = decode_before(left.data() + left.size()).code;
    const char32_t after = decode_at(right.data()).code;
    joints_[(before * 0x9E3779B1U + after * 0x85EBCA77U) % joint_bits] = true;
  }
}

bool Bpe::may_join(char32_t left, char32_t right) const {
  return joints_[(left * 0x9E3779B1U + right * 0x85EBCA77U) % joint_bits];
}

void Bpe::encode(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const {
  if (word.size() <= WordCache::longest_word) {
    encode_short(word, workspace, ids);
  } else if (divisible_) {
    encode_in_parts(word, workspace, ids);
  } else {
    encode_whole(word, workspace.bpe, ids);
  }
}

void Bpe::encode_short(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const {
  WordCache::Entry& entry = workspace.cache.entry(word);
  if (WordCache::matches(entry, word)) {
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
    return;
  }
  const std::size_t before = ids.size();
  encode_whole(word, workspace.bpe, ids);
  WordCache::keep(entry, word, std::span(ids).subspan(before));
}

// No merge crosses a place between two known characters that no merge joins, so that the parts on both sides are words
// of their own. Texts without a pre-tokenizer (SentencePiece's way) become words of the usual length this way.
void Bpe::encode_in_parts(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const {
  const auto pass = [&](std::size_t begin, std::size_t end) {
    const std::string_view part = word.substr(begin, end - begin);
    if (part.size() <= WordCache::longest_word) {
      encode_short(part, workspace, ids);
    } else {
      encode_whole(part, workspace.bpe, ids);
    }
  };
  std::size_t begin = 0;
  CodePoint point = decode_at(word.data());
  bool known = characters_.find(point.code).has_value();
  for (std::size_t at = point.size; at < word.size();) {
    const CodePoint next = decode_at(word.data() + at);
    const bool next_known = characters_.find(next.code).has_value();
    if (known && next_known && !may_join(point.code, next.code)) {
      pass(begin, at);
      begin = at;
    }
    point = next;
    known = next_known;
    at += next.size;
  }
  pass(begin, word.size());
}

void Bpe::encode_whole(std::string_view word, BpeScratch& scratch, std::vector<TokenId>& ids) const {
  if (options_.ignore_merges) {
    const auto id = options_.byte_words ? byte_words_.find(word) : vocabulary_.find(word);
    if (id) return ids.push_back(*id);
  }
  scratch.symbols.clear();
  split_to_symbols(word, scratch.symbols);
  if (scratch.symbols.size() <= few_symbols) {
    merge_few(scratch, ids);
  } else {
    merge_many(scratch, ids);
  }
}

std::optional<TokenId> Bpe::symbol_of(std::string_view character, bool first, bool last) const {
  if (options_.byte_words) return bytes_[static_cast<unsigned char>(character.front())];
  const bool prefixed = !first && !options_.prefix.empty();
  const bool suffixed = last && !options_.suffix.empty();
  if (!prefixed && !suffixed) return characters_.find(decode_at(character.data()).code);
  std::string token = prefixed ? options_.prefix : std::string();
  token += character;
  if (suffixed) token += options_.suffix;
  return vocabulary_.find(token);
}

bool Bpe::add_bytes(std::string_view character, std::vector<TokenId>& symbols) const {
  const auto known = [this](char byte) { return bytes_[static_cast<unsigned char>(byte)].has_value(); };
  if (!std::ranges::all_of(character, known)) return false;
  for (const char byte : character) symbols.push_back(*bytes_[static_cast<unsigned char>(byte)]);
  return true;
}

// As the library does it, with its order where only some bytes have tokens: an unknown character waits for the next
// known one, and bytes may overtake it.
void Bpe::split_to_symbols(std::string_view word, std::vector<TokenId>& symbols) const {
  bool waiting = false;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t size = options_.byte_words ? 1 : decode_at(word.data() + at).size;
    const std::string_view character = word.substr(at, size);
    const bool last = at + size == word.size();
    const auto id = symbol_of(character, at == 0, last);
    if (id) {
      if (waiting) symbols.push_back(*unknown_);
      waiting = false;
      symbols.push_back(*id);
    } else {
      std::string whole;
      if (options_.byte_fallback && !options_.byte_words) {
        whole = (at > 0 ? options_.prefix : std::string()) + std::string(character) + (last ? options_.suffix : "");
      }
      if (whole.empty() || !add_bytes(whole, symbols)) {
        if (options_.unknown) {
          if (!unknown_) {
            base::fail(base::Exit::data,
                       fmt::format("the tokenizer's unk_token \"{}\" is not in its vocabulary, and the text has a "
                                   "character without a token",
                                   *options_.unknown));
          }
          if (waiting && !options_.fuse_unknown) symbols.push_back(*unknown_);
          waiting = true;
        }
      }
    }
    at += size;
  }
  if (waiting) symbols.push_back(*unknown_);
}

void Bpe::merge_few(BpeScratch& scratch, std::vector<TokenId>& ids) const {
  TokenId* symbols = scratch.symbols.data();
  std::size_t count = scratch.symbols.size();
  std::array<std::uint32_t, few_symbols> ranks;
  std::array<TokenId, few_symbols> results;
  const auto look_up = [&](std::size_t i) {
    const MergeTable::Merge merge = merges_.find(symbols[i], symbols[i + 1]);
    ranks[i] = merge.rank;
    results[i] = merge.result;
  };
  for (std::size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == MergeTable::no_rank) break;
    symbols[best] = results[best];
    --count;
    for (std::size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      ranks[i] = ranks[i + 1];
      results[i] = results[i + 1];
    }
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  ids.insert(ids.end(), symbols, symbols + count);
}

// A heap of (rank, position); an entry whose pair has changed since is skipped. n log n for n symbols.
void Bpe::merge_many(BpeScratch& scratch, std::vector<TokenId>& ids) const {
  auto& symbols = scratch.symbols;
  if (symbols.size() >= no_symbol) base::fail(base::Exit::data, "a word of more than 4 billion symbols");
  const auto count = static_cast<std::uint32_t>(symbols.size());
  scratch.ranks.assign(count, MergeTable::no_rank);
  scratch.results.resize(count);
  scratch.previous.resize(count);
  scratch.next.resize(count);
  scratch.heap.clear();
  const auto look_up = [&](std::uint32_t at) {
    const MergeTable::Merge merge = merges_.find(symbols[at], symbols[scratch.next[at]]);
    scratch.ranks[at] = merge.rank;
    scratch.results[at] = merge.result;
    if (merge.rank == MergeTable::no_rank) return false;
    scratch.heap.push_back(std::uint64_t{merge.rank} << 32 | at);
    return true;
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    scratch.previous[i] = i == 0 ? no_symbol : i - 1;
    scratch.next[i] = i + 1 == count ? no_symbol : i + 1;
    if (i + 1 < count) look_up(i);
  }
  std::ranges::make_heap(scratch.heap, std::greater{});
  while (!scratch.heap.empty()) {
    std::ranges::pop_heap(scratch.heap, std::greater{});
    const std::uint64_t top = scratch.heap.back();
    scratch.heap.pop_back();
    const auto at = static_cast<std::uint32_t>(top);
    if (scratch.ranks[at] != top >> 32) continue;
    const std::uint32_t right = scratch.next[at];
    symbols[at] = scratch.results[at];
    scratch.next[at] = scratch.next[right];
    scratch.ranks[right] = scratch.ranks[at] = MergeTable::no_rank;
    if (scratch.next[at] != no_symbol) {
      scratch.previous[scratch.next[at]] = at;
      if (look_up(at)) std::ranges::push_heap(scratch.heap, std::greater{});
    }
    if (scratch.previous[at] != no_symbol && look_up(scratch.previous[at])) {
      std::ranges::push_heap(scratch.heap, std::greater{});
    }
  }
  for (std::uint32_t at = 0; at != no_symbol; at = scratch.next[at]) ids.push_back(symbols[at]);
}

}  // namespace thresher::text
