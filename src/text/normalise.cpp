#include "text/normalise.h"

#include <fmt/core.h>

#include <utility>

#include "text/byte_alphabet.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include "thresher/base/check.h"

namespace thresher::text {
namespace {

// Rewrites with `write(out, code)` called for every code point.
template <typename Write>
void rewrite_characters(Draft& draft, Write&& write) {
  Rewrite rewrite(draft);
  const std::string& text = draft.text;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_at(text.data() + at);
    rewrite.reach(at);
    write(rewrite.out(), point.code);
    at += point.size;
  }
  rewrite.finish();
}

bool is_chinese(char32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
         (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

class Bert final : public Normaliser {
 public:
  explicit Bert(const BertCleaning& cleaning) : cleaning_(cleaning) {
    if (cleaning.strip_accents) decompose_ = unicode_form(UnicodeForm::nfd);
  }

  void apply(Draft& draft) const override {
    if (cleaning_.clean_text || cleaning_.handle_chinese_characters) {
      rewrite_characters(draft, [this](std::string& out, char32_t code) { clean(out, code); });
    }
    if (cleaning_.strip_accents) {
      decompose_->apply(draft);
      rewrite_characters(draft, [](std::string& out, char32_t code) {
        if (!is_nonspacing_mark(code)) append_utf8(out, code);
      });
    }
    if (cleaning_.lowercase) rewrite_characters(draft, append_lower);
  }

 private:
  void clean(std::string& out, char32_t code) const {
    if (cleaning_.clean_text) {
      if (code == '\t' || code == '\n' || code == '\r') code = ' ';
      if (code == 0 || code == 0xFFFD || is_control(code)) return;
      if (is_space(code)) code = ' ';
    }
    const bool spaced = cleaning_.handle_chinese_characters && is_chinese(code);
    if (spaced) out += ' ';
    append_utf8(out, code);
    if (spaced) out += ' ';
  }

  BertCleaning cleaning_;
  std::unique_ptr<Normaliser> decompose_;  // with strip_accents
};

class Strip final : public Normaliser {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  void apply(Draft& draft) const override {
    std::string& text = draft.text;
    std::size_t begin = 0;
    std::size_t end = text.size();
    while (left_ && begin < end) {
      const CodePoint point = decode_at(text.data() + begin);
      if (!is_space(point.code)) break;
      begin += point.size;
    }
    while (right_ && end > begin) {
      const CodePoint point = decode_before(text.data() + end);
      if (!is_space(point.code)) break;
      end -= point.size;
    }
    text.erase(end);
    text.erase(0, begin);
    draft.lead = draft.lead > begin ? std::min(draft.lead - begin, text.size()) : 0;
  }

 private:
  bool left_;
  bool right_;
};

class StripAccents final : public Normaliser {
 public:
  void apply(Draft& draft) const override {
    rewrite_characters(draft, [](std::string& out, char32_t code) {
      if (!is_combining_mark(code)) append_utf8(out, code);
    });
  }
};

class Lowercase final : public Normaliser {
 public:
  void apply(Draft& draft) const override { rewrite_characters(draft, append_lower); }
};

// The cleaning of SentencePiece's nmt rules.
class Nmt final : public Normaliser {
 public:
  void apply(Draft& draft) const override {
    rewrite_characters(draft, [](std::string& out, char32_t code) {
      if (!removed(code)) append_utf8(out, spaced(code) ? U' ' : code);
    });
  }

 private:
  static bool removed(char32_t code) {
    return (code >= 1 && code <= 8) || code == 0x0B || (code >= 0x0E && code <= 0x1F) || code == 0x7F || code == 0x8F ||
           code == 0x9F;
  }
  static bool spaced(char32_t code) {
    return code == 9 || code == 0x0A || code == 0x0C || code == 0x0D || code == 0x1680 ||
           (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 || code == 0x2581 || code == 0xFEFF ||
           code == 0xFFFD;
  }
};

class Prepend final : public Normaliser {
 public:
  explicit Prepend(std::string text) : text_(std::move(text)) {}
  void apply(Draft& draft) const override {
    if (draft.text.empty()) return;
    draft.text.insert(0, text_);
    if (draft.lead > 0) draft.lead += text_.size();
  }

 private:
  std::string text_;
};

class ByteLevel final : public Normaliser {
 public:
  void apply(Draft& draft) const override {
    Rewrite rewrite(draft);
    for (std::size_t at = 0; at < draft.text.size(); ++at) {
      rewrite.reach(at);
      append_utf8(rewrite.out(), ByteAlphabet::instance().character(static_cast<unsigned char>(draft.text[at])));
    }
    rewrite.finish();
  }
};

class Replace final : public Normaliser {
 public:
  Replace(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(Draft& draft) const override {
    Rewrite rewrite(draft);
    for_each_part(pattern_, draft.text, draft.match, [&](std::size_t begin, std::size_t end, bool match) {
      if (match) {
        // What is put in belongs to the last character that it replaces.
        rewrite.reach(end > 0 ? end - 1 : 0);
        rewrite.out() += content_;
        rewrite.reach(end);
      } else {
        if (begin < draft.lead && draft.lead < end) {
          rewrite.out().append(draft.text, begin, draft.lead - begin);
          begin = draft.lead;
        }
        rewrite.reach(begin);
        rewrite.out().append(draft.text, begin, end - begin);
        rewrite.reach(end);
      }
    });
    rewrite.finish();
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class ReplaceText final : public Normaliser {
 public:
  ReplaceText(std::string text, std::string content) : text_(std::move(text)), content_(std::move(content)) {}

  void apply(Draft& draft) const override {
    Rewrite rewrite(draft);
    const std::string_view text = draft.text;
    std::size_t begin = 0;
    const auto copy = [&](std::size_t end) {
      if (begin < draft.lead && draft.lead < end) {
        rewrite.out().append(text, begin, draft.lead - begin);
        begin = draft.lead;
      }
      rewrite.reach(begin);
      rewrite.out().append(text, begin, end - begin);
    };
    for (std::size_t at = text.find(text_); at != std::string_view::npos; at = text.find(text_, begin)) {
      copy(at);
      begin = at + text_.size();
      rewrite.reach(begin - 1);
      rewrite.out() += content_;
      rewrite.reach(begin);
    }
    copy(text.size());
    rewrite.finish();
  }

 private:
  std::string text_;
  std::string content_;
};

}  // namespace

void fail_too_long(const Draft& draft) {
  base::fail(base::Exit::data,
             fmt::format("the tokenizer's normalizer makes more than {} bytes of one stretch of text", draft.most));
}

std::unique_ptr<Normaliser> bert_normaliser(const BertCleaning& cleaning) {
  return std::make_unique<Bert>(cleaning);
}

std::unique_ptr<Normaliser> strip(bool left, bool right) {
  return std::make_unique<Strip>(left, right);
}

std::unique_ptr<Normaliser> strip_accents() {
  return std::make_unique<StripAccents>();
}

std::unique_ptr<Normaliser> lowercase() {
  return std::make_unique<Lowercase>();
}

std::unique_ptr<Normaliser> nmt() {
  return std::make_unique<Nmt>();
}

std::unique_ptr<Normaliser> prepend(std::string text) {
  return std::make_unique<Prepend>(std::move(text));
}

std::unique_ptr<Normaliser> byte_level_normaliser() {
  return std::make_unique<ByteLevel>();
}

std::unique_ptr<Normaliser> replace(Pattern pattern, std::string content) {
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}

std::unique_ptr<Normaliser> replace_text(std::string text, std::string content) {
  return std::make_unique<ReplaceText>(std::move(text), std::move(content));
}

}  // namespace thresher::text
