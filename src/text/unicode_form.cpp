// NFC, NFD, NFKC and NFKD. Only the stretches that can change go through utf8proc.
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "text/normalise.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include "thresher/base/check.h"

namespace thresher::text {
namespace {

constexpr char32_t code_points = 0x110000;
constexpr std::size_t longest_decomposition = 64;  // utf8proc's longest is 18 code points

bool composes(UnicodeForm form) {
  return form == UnicodeForm::nfc || form == UnicodeForm::nfkc;
}

utf8proc_option_t options_of(UnicodeForm form) {
  int options = UTF8PROC_STABLE | (composes(form) ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
  if (form == UnicodeForm::nfkc || form == UnicodeForm::nfkd) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

// Code points at which a text may be cut: they stay as they are, and nothing moves past them or joins them from behind.
CodePointSet stable_set(UnicodeForm form) {
  CodePointSet unstable{{}};
  for (char32_t code = 0; code < code_points; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    const auto point = static_cast<utf8proc_int32_t>(code);
    std::array<utf8proc_int32_t, longest_decomposition> parts;
    int boundary = 0;
    const auto count = utf8proc_decompose_char(point, parts.data(), parts.size(), options_of(form), &boundary);
    if (utf8proc_get_property(point)->combining_class != 0) unstable.add(code);
    if (count == 1 && parts[0] == point) continue;
    // Whatever stands behind the first of a decomposition may be drawn to what is before it.
    for (utf8proc_ssize_t i = 1; composes(form) && i < count; ++i) unstable.add(static_cast<char32_t>(parts[i]));
    const auto left = composes(form) ? utf8proc_normalize_utf32(parts.data(), count, options_of(form)) : count;
    if (left != 1 || parts[0] != point) unstable.add(code);
  }
  const CodePointSet inert(tables::inert);
  CodePointSet stable{{}};
  for (char32_t code = 0; code < code_points; ++code) {
    if (!unstable.holds(code) || inert.holds(code)) stable.add(code);
  }
  return stable;
}

const CodePointSet& stable_points(UnicodeForm form) {
  static const CodePointSet nfc = stable_set(UnicodeForm::nfc);
  static const CodePointSet nfd = stable_set(UnicodeForm::nfd);
  static const CodePointSet nfkc = stable_set(UnicodeForm::nfkc);
  static const CodePointSet nfkd = stable_set(UnicodeForm::nfkd);
  switch (form) {
    case UnicodeForm::nfc:
      return nfc;
    case UnicodeForm::nfd:
      return nfd;
    case UnicodeForm::nfkc:
      return nfkc;
    case UnicodeForm::nfkd:
      break;
  }
  return nfkd;
}

class Form final : public Normaliser {
 public:
  explicit Form(UnicodeForm form) : form_(form), stable_(stable_points(form)), inert_(tables::inert) {}

  void apply(Draft& draft) const override {
    Rewrite rewrite(draft);
    const std::string_view text = draft.text;
    std::size_t at = 0;
    while (at < text.size()) {
      const std::size_t first_unstable = skip_stable(text, at);
      std::size_t begin = first_unstable;
      // A mark may join the character before it, unless that one is too young to be joined.
      if (first_unstable > at && first_unstable < text.size()) {
        const CodePoint before = decode_before(text.data() + first_unstable);
        if (!inert_.holds(before.code)) begin -= before.size;
      }
      copy(draft, rewrite, at, begin);
      std::size_t end = first_unstable;
      while (end < text.size()) {
        const CodePoint point = decode_at(text.data() + end);
        if (stable_.holds(point.code)) break;
        end += point.size;
      }
      if (begin < end) change(draft, rewrite, begin, end);
      at = end;
    }
    rewrite.finish();
  }

 private:
  std::size_t skip_stable(std::string_view text, std::size_t at) const {
    while (at < text.size()) {
      if (static_cast<unsigned char>(text[at]) < 0x80) {
        ++at;
        continue;
      }
      const CodePoint point = decode_at(text.data() + at);
      if (!stable_.holds(point.code)) break;
      at += point.size;
    }
    return at;
  }

  static void copy(const Draft& draft, Rewrite& rewrite, std::size_t begin, std::size_t end) {
    if (begin < draft.lead && draft.lead < end) {
      rewrite.out().append(draft.text, begin, draft.lead - begin);
      begin = draft.lead;
    }
    rewrite.reach(begin);
    rewrite.out().append(draft.text, begin, end - begin);
  }

  void change(const Draft& draft, Rewrite& rewrite, std::size_t begin, std::size_t end) const {
    const std::string_view text = draft.text;
    const auto changed = form_of(text.substr(begin, end - begin));
    std::size_t of_lead = 0;
    if (begin < draft.lead && draft.lead < end) of_lead = form_of(text.substr(begin, draft.lead - begin)).size();
    if (of_lead == 0) rewrite.reach(begin);
    for (std::size_t i = 0; i < changed.size(); ++i) {
      if (of_lead > 0 && i == of_lead) rewrite.reach(draft.lead);
      append_utf8(rewrite.out(), static_cast<char32_t>(changed[i]));
    }
  }

  std::vector<utf8proc_int32_t> form_of(std::string_view text) const {
    std::vector<utf8proc_int32_t> codes;
    codes.reserve(text.size() + longest_decomposition);
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint point = decode_at(text.data() + at);
      std::array<utf8proc_int32_t, longest_decomposition> parts;
      int boundary = 0;
      const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point.code), parts.data(), parts.size(),
                                                 options_of(form_), &boundary);
      if (count < 0) base::fail(base::Exit::internal, utf8proc_errmsg(count));
      codes.insert(codes.end(), parts.begin(), parts.begin() + count);
      at += point.size;
    }
    order_marks(codes);
    if (!composes(form_)) return codes;
    const auto count =
        utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()), options_of(form_));
    if (count < 0) base::fail(base::Exit::internal, utf8proc_errmsg(count));
    codes.resize(static_cast<std::size_t>(count));
    return codes;
  }

  // Canonical order: each run of marks by combining class, stable. (utf8proc's own takes quadratic time.)
  static void order_marks(std::vector<utf8proc_int32_t>& codes) {
    const auto class_of = [](utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; };
    for (auto begin = codes.begin(); begin != codes.end();) {
      const auto end = std::find_if(begin, codes.end(), [&](utf8proc_int32_t code) { return class_of(code) == 0; });
      std::stable_sort(begin, end,
                       [&](utf8proc_int32_t left, utf8proc_int32_t right) { return class_of(left) < class_of(right); });
      begin = end == codes.end() ? end : end + 1;
    }
  }

  UnicodeForm form_;
  const CodePointSet& stable_;
  CodePointSet inert_;
};

}  // namespace

std::unique_ptr<Normaliser> unicode_form(UnicodeForm form) {
  return std::make_unique<Form>(form);
}

}  // namespace thresher::text
