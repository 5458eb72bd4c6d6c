#include "text/decode.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace thresher::text {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::size_t at = from.empty() ? std::string::npos : text.find(from);
  if (at == std::string::npos) return;
  std::string replaced;
  std::size_t begin = 0;
  for (; at != std::string::npos; at = text.find(from, begin)) {
    replaced.append(text, begin, at - begin).append(to);
    begin = at + from.size();
  }
  text = replaced.append(text, begin);
}

// English spacing as it was before the tokens were cut.
void clean_up(std::string& text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 11> changes = {{{" .", "."},
                                                                                             {" ?", "?"},
                                                                                             {" !", "!"},
                                                                                             {" ,", ","},
                                                                                             {" ' ", "'"},
                                                                                             {" n't", "n't"},
                                                                                             {" 'm", "'m"},
                                                                                             {" do not", " don't"},
                                                                                             {" 's", "'s"},
                                                                                             {" 've", "'ve"},
                                                                                             {" 're", "'re"}}};
  for (const auto& [from, to] : changes) replace_all(text, from, to);
}

class ByteLevel final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += ByteAlphabet::instance().bytes_of(token).value_or(token);
    tokens.assign(1, replace_invalid_utf8(bytes));
  }
};

class ByteFallback final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> decoded;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (find_invalid_utf8(bytes)) {
        decoded.insert(decoded.end(), bytes.size(), "\uFFFD");
      } else {
        decoded.push_back(bytes);
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_of(token)) {
        bytes.push_back(*byte);
      } else {
        flush();
        decoded.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(decoded);
  }

 private:
  // Of <0x00> ... <0xFF>. As the library reads it, <0x+F> is a byte as well.
  static std::optional<char> byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
    std::string_view digits = token.substr(3, 2);
    if (digits[0] == '+') digits.remove_prefix(1);
    int value = 0;
    for (const char digit : digits) {
      const bool decimal = digit >= '0' && digit <= '9';
      const bool upper = digit >= 'A' && digit <= 'F';
      const bool lower = digit >= 'a' && digit <= 'f';
      if (!decimal && !upper && !lower) return std::nullopt;
      value = value * 16 + (decimal ? digit - '0' : upper ? digit - 'A' + 10 : digit - 'a' + 10);
    }
    return static_cast<char>(value);
  }
};

class Fuse final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

class Strip final : public Decoder {
 public:
  Strip(char32_t content, std::size_t start, std::size_t stop)
      : content_(utf8_of(content)), start_(start), stop_(stop) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::size_t i = 0; i < start_ && rest.starts_with(content_); ++i) rest.remove_prefix(content_.size());
      for (std::size_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  std::size_t start_;
  std::size_t stop_;
};

class Replace final : public Decoder {
 public:
  Replace(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(std::vector<std::string>& tokens) const override {
    MatchMemory memory;
    for (std::string& token : tokens) {
      std::string replaced;
      for_each_part(pattern_, token, memory, [&](std::size_t begin, std::size_t end, bool match) {
        match ? replaced.append(content_) : replaced.append(token, begin, end - begin);
      });
      token = std::move(replaced);
    }
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Metaspace final : public Decoder {
 public:
  Metaspace(char32_t replacement, bool prepended) : mark_(utf8_of(replacement)), prepended_(prepended) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], mark_, i == 0 && prepended_ ? "" : " ");
  }

 private:
  std::string mark_;
  bool prepended_;
};

class WordPiece final : public Decoder {
 public:
  WordPiece(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) {
        if (token.starts_with(prefix_)) {
          token.erase(0, prefix_.size());
        } else {
          token.insert(0, 1, ' ');
        }
      }
      if (cleanup_) clean_up(token);
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class Bpe final : public Decoder {
 public:
  explicit Bpe(std::string suffix) : suffix_(std::move(suffix)) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

class Ctc final : public Decoder {
 public:
  Ctc(std::string pad, std::string delimiter, bool cleanup)
      : pad_(std::move(pad)), delimiter_(std::move(delimiter)), cleanup_(cleanup) {}

  void apply(std::vector<std::string>& tokens) const override {
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (std::string& token : tokens) {
      replace_all(token, pad_, "");
      if (!cleanup_) continue;
      clean_up(token);
      replace_all(token, delimiter_, " ");
    }
    std::erase(tokens, std::string());
  }

 private:
  std::string pad_;
  std::string delimiter_;
  bool cleanup_;
};

}  // namespace

std::unique_ptr<Decoder> decode_byte_level() {
  return std::make_unique<ByteLevel>();
}

std::unique_ptr<Decoder> decode_byte_fallback() {
  return std::make_unique<ByteFallback>();
}

std::unique_ptr<Decoder> decode_fuse() {
  return std::make_unique<Fuse>();
}

std::unique_ptr<Decoder> decode_strip(char32_t content, std::size_t start, std::size_t stop) {
  return std::make_unique<Strip>(content, start, stop);
}

std::unique_ptr<Decoder> decode_replace(Pattern pattern, std::string content) {
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}

std::unique_ptr<Decoder> decode_metaspace(char32_t replacement, bool prepended) {
  return std::make_unique<Metaspace>(replacement, prepended);
}

std::unique_ptr<Decoder> decode_wordpiece(std::string prefix, bool cleanup) {
  return std::make_unique<WordPiece>(std::move(prefix), cleanup);
}

std::unique_ptr<Decoder> decode_bpe(std::string suffix) {
  return std::make_unique<Bpe>(std::move(suffix));
}

std::unique_ptr<Decoder> decode_ctc(std::string pad, std::string delimiter, bool cleanup) {
  return std::make_unique<Ctc>(std::move(pad), std::move(delimiter), cleanup);
}

}  // namespace thresher::text
