// Normalisers: each rewrites a text before it is split into words.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/pattern.h"

namespace thresher::text {

struct Workspace;

// A text on its way through the normalisers.
struct Draft {
  std::string& text;
  std::string& spare;    // what a normaliser writes to, and then swaps
  std::size_t lead = 0;  // as Piece::lead
  MatchMemory& match;
  std::size_t most = (std::size_t{16} << 20) + 4 * text.size();  // bytes that the text may grow to
};

[[noreturn]] void fail_too_long(const Draft& draft);

// Writes a draft anew, character by character, and keeps count of its lead.
class Rewrite {
 public:
  explicit Rewrite(Draft& draft) : draft_(draft) { draft.spare.clear(); }

  // What is written from now on comes from byte `at` of the old text or later.
  void reach(std::size_t at) {
    if (draft_.spare.size() > draft_.most) fail_too_long(draft_);
    if (!past_lead_ && at >= draft_.lead) {
      lead_ = draft_.spare.size();
      past_lead_ = true;
    }
  }
  std::string& out() { return draft_.spare; }

  void finish() {
    draft_.lead = past_lead_ ? lead_ : draft_.spare.size();
    draft_.text.swap(draft_.spare);
  }

 private:
  Draft& draft_;
  std::size_t lead_ = 0;
  bool past_lead_ = false;
};

// Immutable; many threads may use one at once.
class Normaliser {
 public:
  virtual ~Normaliser() = default;
  virtual void apply(Draft& draft) const = 0;
};

struct BertCleaning {
  bool clean_text = true;
  bool handle_chinese_characters = true;
  bool strip_accents = true;
  bool lowercase = true;
};

enum class UnicodeForm { nfc, nfd, nfkc, nfkd };

std::unique_ptr<Normaliser> bert_normaliser(const BertCleaning& cleaning);
std::unique_ptr<Normaliser> strip(bool left, bool right);
std::unique_ptr<Normaliser> strip_accents();
std::unique_ptr<Normaliser> lowercase();
std::unique_ptr<Normaliser> nmt();
std::unique_ptr<Normaliser> prepend(std::string text);
std::unique_ptr<Normaliser> byte_level_normaliser();
std::unique_ptr<Normaliser> unicode_form(UnicodeForm form);
// Every match becomes `content`, which is not read for references to groups.
std::unique_ptr<Normaliser> replace(Pattern pattern, std::string content);
std::unique_ptr<Normaliser> replace_text(std::string text, std::string content);  // text is not empty
// SentencePiece's precompiled map, as base64. Throws base::Error (data), calling it `field`.
std::unique_ptr<Normaliser> precompiled(std::string_view charsmap, const std::string& field);

}  // namespace thresher::text
