#include "text/wordpiece.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "text/utf8.h"
#include "text/workspace.h"
#include "thresher/base/check.h"

namespace thresher::text {

WordPiece::WordPiece(Vocabulary vocabulary, WordPieceOptions options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), unknown_(vocabulary_.find(options_.unknown)) {
  if (options_.whole_words) return;
  for (TokenId id = 0; id < vocabulary_.id_limit(); ++id) {
    const std::string_view token = vocabulary_.token(id);
    if (vocabulary_.holds(id) && token.starts_with(options_.prefix)) {
      continuations_.add(token.substr(options_.prefix.size()), id);
    }
  }
}

void WordPiece::encode(std::string_view word, Workspace& workspace, std::vector<TokenId>& ids) const {
  if (word.size() > WordCache::longest_word) return encode_whole(word, ids);
  WordCache::Entry& entry = workspace.cache.entry(word);
  if (WordCache::matches(entry, word)) {
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
    return;
  }
  const std::size_t before = ids.size();
  encode_whole(word, ids);
  WordCache::keep(entry, word, std::span(ids).subspan(before));
}

TokenId WordPiece::unknown() const {
  if (unknown_) return *unknown_;
  base::fail(base::Exit::data,
             fmt::format("the tokenizer's unk_token \"{}\" is not in its vocabulary, and the text has a "
                         "word without a token",
                         options_.unknown));
}

void WordPiece::encode_whole(std::string_view word, std::vector<TokenId>& ids) const {
  if (options_.whole_words) {
    const auto id = vocabulary_.find(word);
    return ids.push_back(id ? *id : unknown());
  }
  const std::size_t before = ids.size();
  if (count_code_points(word) <= options_.most_characters && encode_pieces(word, ids)) return;
  ids.resize(before);
  ids.push_back(unknown());
}

bool WordPiece::encode_pieces(std::string_view word, std::vector<TokenId>& ids) const {
  for (std::size_t begin = 0; begin < word.size();) {
    const Vocabulary& tokens = begin == 0 ? vocabulary_ : continuations_;
    std::size_t end = std::min(word.size(), begin + tokens.longest());
    while (end < word.size() && continues_code_point(word[end])) --end;
    std::optional<TokenId> id;
    for (; end > begin; end -= decode_before(word.data() + end).size) {
      id = tokens.find(word.substr(begin, end - begin));
      if (id) break;
    }
    if (!id) return false;
    ids.push_back(*id);
    begin = end;
  }
  return true;
}

}  // namespace thresher::text
