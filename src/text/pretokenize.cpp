#include "text/pretokenize.h"

#include <utility>

#include "text/byte_alphabet.h"
#include "text/splitter.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include "text/workspace.h"

namespace thresher::text {
namespace {

class PatternSplit final : public PreTokenizer {
 public:
  PatternSplit(Pattern pattern, Behaviour behaviour, bool invert)
      : pattern_(std::move(pattern)), behaviour_(behaviour), invert_(invert) {}

  void split(const Piece& piece, const Flow& next) const override {
    Splitter splitter(piece, behaviour_, next);
    for_each_part(pattern_, piece.text, next.workspace().match,
                  [&](std::size_t begin, std::size_t end, bool match) { splitter.take(begin, end, match != invert_); });
    splitter.finish();
  }

 private:
  Pattern pattern_;
  Behaviour behaviour_;
  bool invert_;
};

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex, bool as_bytes)
      : add_prefix_space_(add_prefix_space), as_bytes_(as_bytes) {
    if (use_regex) {
      words_.emplace(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "ByteLevel");
    }
  }

  void split(const Piece& piece, const Flow& next) const override {
    if (!add_prefix_space_ || piece.text.starts_with(' ')) return split_words(piece, next);
    std::string& prefixed = next.scratch();
    prefixed.assign(1, ' ').append(piece.text);
    split_words({prefixed, piece.lead > 0 ? piece.lead + 1 : 0}, next);
  }

 private:
  void split_words(const Piece& piece, const Flow& next) const {
    std::string mapped;
    const auto pass = [&](std::size_t begin, std::size_t end, bool) {
      const Piece word = piece.part(begin, end);
      if (as_bytes_) return next.pass(word);
      mapped.clear();
      ByteAlphabet::instance().append(mapped, word.text.substr(0, word.lead));
      const std::size_t lead = mapped.size();
      ByteAlphabet::instance().append(mapped, word.text.substr(word.lead));
      next.pass({mapped, lead});
    };
    if (words_) {
      for_each_part(*words_, piece.text, next.workspace().match, pass);
    } else {
      pass(0, piece.text.size(), false);
    }
  }

  bool add_prefix_space_;
  bool as_bytes_;
  std::optional<Pattern> words_;
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(char32_t replacement, PrependScheme scheme, bool split)
      : replacement_(replacement), mark_(utf8_of(replacement)), scheme_(scheme), split_(split) {}

  void split(const Piece& piece, const Flow& next) const override {
    std::string& marked = next.scratch();
    marked.clear();
    const bool begins = piece.text.starts_with(' ') || piece.text.starts_with(mark_);
    const bool wanted = scheme_ == PrependScheme::always || (scheme_ == PrependScheme::first && piece.lead > 0);
    if (wanted && !begins) marked += mark_;
    std::size_t lead = 0;
    for (std::size_t at = 0; at < piece.text.size(); ++at) {
      if (at == piece.lead) lead = marked.size();
      if (piece.text[at] == ' ') {
        marked += mark_;
      } else {
        marked += piece.text[at];
      }
    }
    if (piece.lead >= piece.text.size()) lead = marked.size();
    const Piece whole{marked, piece.lead > 0 ? lead : 0};
    if (!split_) return next.pass(whole);
    split_on_characters(whole, Behaviour::merged_with_next, next,
                        [this](char32_t code) { return code == replacement_; });
  }

 private:
  char32_t replacement_;
  std::string mark_;
  PrependScheme scheme_;
  bool split_;
};

// \w+|[^\w\s]+ is kept.
class Whitespace final : public PreTokenizer {
 public:
  void split(const Piece& piece, const Flow& next) const override {
    enum class Kind { space, word, other };
    const auto kind_of = [](char32_t code) {
      if (is_word(code)) return Kind::word;
      return is_space(code) ? Kind::space : Kind::other;
    };
    std::size_t begin = 0;
    Kind kind = Kind::space;
    for (std::size_t at = 0; at < piece.text.size();) {
      const CodePoint point = decode_at(piece.text.data() + at);
      const Kind now = kind_of(point.code);
      if (now != kind) {
        if (kind != Kind::space) next.pass(piece.part(begin, at));
        begin = at;
        kind = now;
      }
      at += point.size;
    }
    if (kind != Kind::space) next.pass(piece.part(begin, piece.text.size()));
  }
};

class WhitespaceSplit final : public PreTokenizer {
 public:
  void split(const Piece& piece, const Flow& next) const override {
    split_on_characters(piece, Behaviour::removed, next, is_space);
  }
};

class BertPreTokenizer final : public PreTokenizer {
 public:
  void split(const Piece& piece, const Flow& next) const override {
    std::size_t begin = 0;
    const auto pass = [&](std::size_t end) {
      if (begin < end) next.pass(piece.part(begin, end));
    };
    for (std::size_t at = 0; at < piece.text.size();) {
      const CodePoint point = decode_at(piece.text.data() + at);
      const std::size_t end = at + point.size;
      const bool space = is_space(point.code);
      if (space || is_punctuation(point.code)) {
        pass(at);
        begin = space ? end : at;
        pass(end);
        begin = end;
      }
      at = end;
    }
    pass(piece.text.size());
  }
};

class Punctuation final : public PreTokenizer {
 public:
  explicit Punctuation(Behaviour behaviour) : behaviour_(behaviour) {}
  void split(const Piece& piece, const Flow& next) const override {
    split_on_characters(piece, behaviour_, next, is_punctuation);
  }

 private:
  Behaviour behaviour_;
};

class Digits final : public PreTokenizer {
 public:
  explicit Digits(bool individual) : behaviour_(individual ? Behaviour::isolated : Behaviour::contiguous) {}
  void split(const Piece& piece, const Flow& next) const override {
    split_on_characters(piece, behaviour_, next, is_numeric);
  }

 private:
  Behaviour behaviour_;
};

class CharacterDelimiter final : public PreTokenizer {
 public:
  explicit CharacterDelimiter(char32_t delimiter) : delimiter_(delimiter) {}
  void split(const Piece& piece, const Flow& next) const override {
    split_on_characters(piece, Behaviour::removed, next, [this](char32_t code) { return code == delimiter_; });
  }

 private:
  char32_t delimiter_;
};

class FixedLength final : public PreTokenizer {
 public:
  explicit FixedLength(std::size_t characters) : characters_(characters) {}
  void split(const Piece& piece, const Flow& next) const override {
    std::size_t begin = 0;
    std::size_t count = 0;
    for (std::size_t at = 0; at < piece.text.size();) {
      at += decode_at(piece.text.data() + at).size;
      if (++count < characters_) continue;
      next.pass(piece.part(begin, at));
      begin = at;
      count = 0;
    }
    next.pass(piece.part(begin, piece.text.size()));
  }

 private:
  std::size_t characters_;
};

}  // namespace

void Flow::pass(const Piece& piece) const {
  if (piece.text.empty()) return;
  if (stages_.empty()) return model_.encode(piece.text, workspace_, ids_);
  stages_.front()->split(piece, Flow(stages_.subspan(1), model_, workspace_, ids_));
}

std::string& Flow::scratch() const {
  auto& all = workspace_.stage;
  while (all.size() <= stages_.size()) all.emplace_back();
  return all[stages_.size()];
}

std::unique_ptr<PreTokenizer> split_on(Pattern pattern, Behaviour behaviour, bool invert) {
  return std::make_unique<PatternSplit>(std::move(pattern), behaviour, invert);
}

std::unique_ptr<PreTokenizer> byte_level(bool add_prefix_space, bool use_regex, bool as_bytes) {
  return std::make_unique<ByteLevel>(add_prefix_space, use_regex, as_bytes);
}

std::unique_ptr<PreTokenizer> metaspace(char32_t replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(replacement, scheme, split);
}

std::unique_ptr<PreTokenizer> whitespace() {
  return std::make_unique<Whitespace>();
}

std::unique_ptr<PreTokenizer> whitespace_split() {
  return std::make_unique<WhitespaceSplit>();
}

std::unique_ptr<PreTokenizer> bert_pre_tokenizer() {
  return std::make_unique<BertPreTokenizer>();
}

std::unique_ptr<PreTokenizer> punctuation(Behaviour behaviour) {
  return std::make_unique<Punctuation>(behaviour);
}

std::unique_ptr<PreTokenizer> digits(bool individual) {
  return std::make_unique<Digits>(individual);
}

std::unique_ptr<PreTokenizer> character_delimiter(char32_t delimiter) {
  return std::make_unique<CharacterDelimiter>(delimiter);
}

std::unique_ptr<PreTokenizer> fixed_length(std::size_t characters) {
  return std::make_unique<FixedLength>(characters);
}

}  // namespace thresher::text
