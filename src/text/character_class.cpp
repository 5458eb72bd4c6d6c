#include "text/character_class.h"

#include <fmt/core.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "text/unicode_tables.h"
#include "text/utf8.h"

namespace thresher::text {
namespace {

constexpr int deepest_class = 8;

struct Property {
  std::string_view name;
  std::string_view parts;  // general categories, or empty for a script
};

constexpr Property properties[] = {
    {"L", "Lu Ll Lt Lm Lo"},
    {"M", "Mn Mc Me"},
    {"N", "Nd Nl No"},
    {"P", "Pc Pd Ps Pe Pi Pf Po"},
    {"S", "Sm Sc Sk So"},
    {"Z", "Zs Zl Zp"},
    {"Lu", "Lu"},
    {"Ll", "Ll"},
    {"Lt", "Lt"},
    {"Lm", "Lm"},
    {"Lo", "Lo"},
    {"Mn", "Mn"},
    {"Mc", "Mc"},
    {"Me", "Me"},
    {"Nd", "Nd"},
    {"Nl", "Nl"},
    {"No", "No"},
    {"Pc", "Pc"},
    {"Pd", "Pd"},
    {"Ps", "Ps"},
    {"Pe", "Pe"},
    {"Pi", "Pi"},
    {"Pf", "Pf"},
    {"Po", "Po"},
    {"Sm", "Sm"},
    {"Sc", "Sc"},
    {"Sk", "Sk"},
    {"So", "So"},
    {"Zs", "Zs"},
    {"Zl", "Zl"},
    {"Zp", "Zp"},
    {"Cc", "Cc"},
    {"Cf", "Cf"},
    {"Co", "Co"},
    {"Letter", "Lu Ll Lt Lm Lo"},
    {"Mark", "Mn Mc Me"},
    {"Number", "Nd Nl No"},
    {"Punctuation", "Pc Pd Ps Pe Pi Pf Po"},
    {"Symbol", "Sm Sc Sk So"},
    {"Separator", "Zs Zl Zp"},
    {"Arabic", ""},
    {"Bengali", ""},
    {"Cyrillic", ""},
    {"Devanagari", ""},
    {"Greek", ""},
    {"Gujarati", ""},
    {"Han", ""},
    {"Hangul", ""},
    {"Hebrew", ""},
    {"Hiragana", ""},
    {"Katakana", ""},
    {"Khmer", ""},
    {"Lao", ""},
    {"Latin", ""},
    {"Malayalam", ""},
    {"Myanmar", ""},
    {"Sinhala", ""},
    {"Tamil", ""},
    {"Telugu", ""},
    {"Thai", ""},
    {"Tibetan", ""},
};

// White_Space, which PCRE2's \s is but for U+180E.
constexpr std::string_view space_set =
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

std::string extra_of(std::string_view name) {
  std::string set;
  for (const tables::CodeRange& range : tables::pattern_extra(name)) {
    set += fmt::format("\\x{{{:x}}}", static_cast<std::uint32_t>(range.first));
    if (range.last != range.first) set += fmt::format("-\\x{{{:x}}}", static_cast<std::uint32_t>(range.last));
  }
  return set;
}

// The inside of a bracket class.
std::string property_set(std::string_view name, bool ignore_case, const Refuse& refuse) {
  const auto* const property = std::ranges::find(properties, name, &Property::name);
  if (property == std::end(properties)) refuse(fmt::format("the property \\p{{{}}}", name));
  if (name == "Mn") refuse("\\p{Mn}, whose tables differ; \\p{M} is supported");
  if (ignore_case && (name == "Lu" || name == "Ll" || name == "Lt")) {
    refuse(fmt::format("\\p{{{}}} without regard to case", name));
  }
  if (property->parts.empty()) return fmt::format("\\p{{sc:{}}}", name) + extra_of(name);
  const std::size_t size = property->parts.find(' ') == std::string_view::npos ? 2 : 1;
  std::string set = fmt::format("\\p{{{}}}", property->parts.substr(0, size));
  for (std::string_view parts = property->parts; !parts.empty();) {
    set += extra_of(parts.substr(0, 2));
    parts.remove_prefix(std::min<std::size_t>(3, parts.size()));
  }
  return set;
}

struct EscapedSet {
  std::string inside;  // of a bracket class
  bool negated;
};

std::optional<EscapedSet> escaped_set(std::string_view pattern, std::size_t& at, bool ignore_case, bool in_brackets,
                                      const Refuse& refuse) {
  if (at + 1 >= pattern.size()) refuse("a \\ at the end");
  const char kind = pattern[at + 1];
  const auto simple = [&](std::string inside, bool negated) {
    at += 2;
    return EscapedSet{std::move(inside), negated};
  };
  switch (kind) {
    case 's':
    case 'S':
      return simple(std::string(space_set), kind == 'S');
    case 'd':
    case 'D':
      return simple(property_set("Nd", ignore_case, refuse), kind == 'D');
    case 'w':
    case 'W':
      return simple(word_set(in_brackets), kind == 'W');
    case 'h':
    case 'H':
      return simple("0-9a-fA-F", kind == 'H');
    case 'p':
    case 'P':
      break;
    default:
      return std::nullopt;
  }
  const std::size_t close = pattern.find('}', at);
  if (at + 2 >= pattern.size() || pattern[at + 2] != '{' || close == std::string_view::npos) {
    refuse("\\p without {name}");
  }
  std::string_view name = pattern.substr(at + 3, close - at - 3);
  bool negated = kind == 'P';
  if (name.starts_with('^')) {
    negated = !negated;
    name.remove_prefix(1);
  }
  at = close + 1;
  return EscapedSet{property_set(name, ignore_case, refuse), negated};
}

// A class while it is read: a code point is in it when it is in `inside` or outside one of `outside`.
struct Union {
  std::string inside;
  std::vector<std::string> outside;

  bool empty() const { return inside.empty() && outside.empty(); }
  std::string atom() const {
    if (outside.empty()) return "[" + inside + "]";
    std::string text = "(?:";
    for (const std::string& set : outside) text += (text.size() > 3 ? "|[^" : "[^") + set + "]";
    if (!inside.empty()) text += "|[" + inside + "]";
    return text + ")";
  }
};

class ClassReader {
 public:
  ClassReader(std::string_view pattern, std::size_t& at, bool ignore_case, const Refuse& refuse)
      : pattern_(pattern), at_(at), ignore_case_(ignore_case), refuse_(refuse) {}

  struct Result {
    bool negated = false;
    std::vector<Union> intersected;

    std::string atom() const {
      if (intersected.size() == 1 && intersected[0].outside.empty()) {
        return (negated ? "[^" : "[") + intersected[0].inside + "]";
      }
      std::string all;
      for (std::size_t i = 0; i < intersected.size(); ++i) {
        const std::string one = intersected[i].atom();
        all += i + 1 < intersected.size() ? "(?=" + one + ")" : one;
      }
      return negated ? "(?:(?!" + all + ")(?s:.))" : "(?:" + all + ")";
    }
  };

  Result read(int depth) {
    if (depth > deepest_class) refuse_(fmt::format("classes nest deeper than {}", deepest_class));
    Result result;
    ++at_;
    if (peek() == '^') {
      result.negated = true;
      ++at_;
    }
    if (peek() == ']') refuse_("] as the first of a class");
    Union now;
    while (peek() != ']') {
      if (at_ >= pattern_.size()) refuse_("a class without an end");
      if (pattern_.substr(at_, 2) == "&&") {
        at_ += 2;
        if (now.empty()) refuse_("&& after nothing");
        result.intersected.push_back(std::exchange(now, {}));
      } else if (pattern_.substr(at_, 2) == "[:") {
        posix(now);
      } else if (peek() == '[') {
        nested(read(depth + 1), now);
      } else {
        item(now);
      }
    }
    ++at_;
    if (now.empty()) refuse_("an empty class");
    result.intersected.push_back(std::move(now));
    return result;
  }

 private:
  char peek() const { return at_ < pattern_.size() ? pattern_[at_] : '\0'; }

  void posix(Union& now) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 3> known = {
        {{"[:space:]", space_set}, {"[:digit:]", ""}, {"[:xdigit:]", "0-9a-fA-F"}}};
    for (const auto& [name, set] : known) {
      if (pattern_.substr(at_, name.size()) != name) continue;
      at_ += name.size();
      now.inside += set.empty() ? property_set("Nd", ignore_case_, refuse_) : std::string(set);
      return;
    }
    refuse_(std::string(pattern_.substr(at_, 12)) + "...");
  }

  void nested(const Result& inner, Union& now) {
    if (inner.intersected.size() != 1) refuse_("an intersection inside a class");
    const Union& only = inner.intersected[0];
    if (!inner.negated) {
      now.inside += only.inside;
      now.outside.insert(now.outside.end(), only.outside.begin(), only.outside.end());
    } else if (only.outside.empty()) {
      now.outside.push_back(only.inside);
    } else {
      refuse_("a negated class of negated sets inside a class");
    }
  }

  void item(Union& now) {
    if (peek() == '\\') {
      if (auto set = escaped_set(pattern_, at_, ignore_case_, true, refuse_)) {
        if (set->negated) {
          now.outside.push_back(std::move(set->inside));
        } else {
          now.inside += set->inside;
        }
        return;
      }
    }
    const char32_t first = code();
    const bool range = peek() == '-' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']';
    if (!range) {
      now.inside += pcre2_code(first);
      return;
    }
    ++at_;
    if (peek() == '[' || pattern_.substr(at_, 2) == "&&") refuse_("a range that ends in a class");
    const char32_t last = code();
    if (last < first) refuse_("a range from high to low");
    now.inside += pcre2_code(first) + "-" + pcre2_code(last);
  }

  char32_t code() {
    char32_t code = 0;
    if (peek() == '\\') {
      if (pattern_.substr(at_, 2) == "\\b") {
        code = 8;
        at_ += 2;
      } else {
        code = read_escaped_code(pattern_, at_, refuse_);
      }
    } else {
      const CodePoint point = decode_at(pattern_.data() + at_);
      at_ += point.size;
      code = point.code;
    }
    if (ignore_case_ && code >= 0x80) refuse_("a class beyond ASCII without regard to case");
    return code;
  }

  std::string_view pattern_;
  std::size_t& at_;
  bool ignore_case_;
  const Refuse& refuse_;
};

std::optional<unsigned> hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return static_cast<unsigned>(digit - '0');
  if (digit >= 'a' && digit <= 'f') return static_cast<unsigned>(digit - 'a') + 10;
  if (digit >= 'A' && digit <= 'F') return static_cast<unsigned>(digit - 'A') + 10;
  return std::nullopt;
}

// Up to `most` hexadecimal digits.
char32_t read_hex(std::string_view pattern, std::size_t& at, std::size_t least, std::size_t most,
                  const Refuse& refuse) {
  char32_t value = 0;
  std::size_t count = 0;
  for (; count < most && at < pattern.size(); ++count, ++at) {
    const auto digit = hex_digit(pattern[at]);
    if (!digit) break;
    value = value * 16 + *digit;
  }
  if (count < least || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
    refuse("a \\x or \\u that is no character");
  return value;
}

}  // namespace

std::string pcre2_code(char32_t code) {
  const bool plain = (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
  if (plain) return std::string(1, static_cast<char>(code));
  return fmt::format("\\x{{{:x}}}", static_cast<std::uint32_t>(code));
}

std::string word_set(bool in_brackets) {
  static const std::string set = [] {
    const Refuse never = [](const std::string&) {};
    std::string text;
    for (const std::string_view name : {"L", "M", "Nd", "Pc"}) text += property_set(name, false, never);
    return text + extra_of("word");
  }();
  return in_brackets ? set : set + "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}";
}

std::string read_class(std::string_view pattern, std::size_t& at, bool ignore_case, const Refuse& refuse) {
  return ClassReader(pattern, at, ignore_case, refuse).read(0).atom();
}

std::optional<std::string> read_escaped_set(std::string_view pattern, std::size_t& at, bool ignore_case,
                                            const Refuse& refuse) {
  const auto set = escaped_set(pattern, at, ignore_case, false, refuse);
  if (!set) return std::nullopt;
  return (set->negated ? "[^" : "[") + set->inside + "]";
}

char32_t read_escaped_code(std::string_view pattern, std::size_t& at, const Refuse& refuse) {
  ++at;
  const CodePoint kind = decode_at(pattern.data() + at);
  at += kind.size;
  switch (kind.code) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case 'a':
      return '\a';
    case 'e':
      return 0x1B;
    case 'x': {
      if (at >= pattern.size() || pattern[at] != '{') {
        const char32_t byte = read_hex(pattern, at, 1, 2, refuse);
        if (byte >= 0x80) refuse("a byte beyond ASCII");
        return byte;
      }
      ++at;
      const char32_t code = read_hex(pattern, at, 1, 8, refuse);
      if (at >= pattern.size() || pattern[at] != '}') refuse("a \\x{ without an end");
      ++at;
      return code;
    }
    case 'u':
      return read_hex(pattern, at, 4, 4, refuse);
    default:
      break;
  }
  const bool letter_or_digit = (kind.code >= '0' && kind.code <= '9') || (kind.code >= 'a' && kind.code <= 'z') ||
                               (kind.code >= 'A' && kind.code <= 'Z');
  if (letter_or_digit) refuse(fmt::format("\\{}", static_cast<char>(kind.code)));
  return kind.code;
}

}  // namespace thresher::text
