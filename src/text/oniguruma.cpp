#include "text/oniguruma.h"

#include <fmt/core.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "text/character_class.h"
#include "text/utf8.h"
#include "thresher/base/check.h"

namespace thresher::text {
namespace {

constexpr int deepest_group = 64;
constexpr std::size_t longest_pattern = 64 * 1024;
constexpr unsigned most_repeats = 1000;

// Reads the pattern once, left to right, and writes the other one. Options are those of the group being read.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& field) : pattern_(pattern), field_(field) {}

  std::string translate() {
    if (pattern_.size() > longest_pattern)
      refuse(fmt::format("it has {} bytes, at most {}", pattern_.size(), longest_pattern));
    alternatives({}, 0);
    if (at_ < pattern_.size()) refuse("unmatched )");
    return std::move(out_);
  }

 private:
  struct Options {
    bool ignore_case = false;
    bool dot_all = false;
  };

  [[noreturn]] void refuse(const std::string& why) const {
    base::fail(base::Exit::config, fmt::format("{}: the pattern \"{}\" is not supported: {}", field_, pattern_, why));
  }

  bool more() const { return at_ < pattern_.size(); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }
  bool take(std::string_view text) {
    if (pattern_.substr(at_, text.size()) != text) return false;
    at_ += text.size();
    return true;
  }
  char32_t take_code() {
    const CodePoint point = decode_at(pattern_.data() + at_);
    at_ += point.size;
    return point.code;
  }

  // Everything up to the ) that closes the group, or the end.
  void alternatives(Options options, int depth) {
    if (depth > deepest_group) refuse(fmt::format("groups nest deeper than {}", deepest_group));
    last_literal_ = 0;
    int opened = 0;  // (?i) in the middle holds, alternatives included, up to the group's end
    while (more() && peek() != ')') {
      if (peek() == '|') {
        ++at_;
        out_ += '|';
        last_literal_ = 0;
        continue;
      }
      if (const auto inner = bare_options(options)) {
        options = *inner;
        out_ += options.ignore_case ? "(?i:" : "(?-i:";
        ++opened;
        continue;
      }
      const std::size_t start = out_.size();
      if (atom(options, depth)) quantifiers(start);
    }
    out_.append(static_cast<std::size_t>(opened), ')');
  }

  // (?i), (?m), (?-i) ...: options for the rest of the group.
  std::optional<Options> bare_options(Options options) {
    const std::size_t start = at_;
    if (!take("(?") || !read_options(options) || !take(")")) {
      at_ = start;
      return std::nullopt;
    }
    return options;
  }

  bool read_options(Options& options) {
    bool on = true;
    bool any = false;
    for (;; ++at_) {
      if (peek() == '-' && on) {
        on = false;
      } else if (peek() == 'i') {
        options.ignore_case = on;
      } else if (peek() == 'm') {
        options.dot_all = on;
      } else {
        return any;
      }
      any = true;
    }
  }

  // One atom; false where it was a comment or an assertion that takes no quantifier.
  bool atom(Options options, int depth) {
    const char first = peek();
    if (first == '(') return group(options, depth);
    const std::size_t before_literal = std::exchange(last_literal_, 0);
    if (first == '[') {
      out_ += read_class(pattern_, at_, options.ignore_case, [this](const std::string& why) { refuse(why); });
      return true;
    }
    if (first == '.') {
      ++at_;
      out_ += options.dot_all ? "(?s:.)" : ".";
      return true;
    }
    if (first == '^' || first == '$') {
      ++at_;
      out_ += first;
      return false;
    }
    if (first == '\\') return escape(options, before_literal);
    if (first == '*' || first == '+' || first == '?') refuse(fmt::format("{} repeats nothing", first));
    literal(take_code(), options, before_literal);
    return true;
  }

  bool group(Options options, int depth) {
    static constexpr std::array<std::string_view, 6> same = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    last_literal_ = 0;
    if (take("(?#")) {
      while (more() && peek() != ')') ++at_;
      if (!take(")")) refuse("a comment without an end");
      return false;
    }
    const auto* const opening = std::ranges::find_if(same, [this](std::string_view text) { return take(text); });
    if (opening != same.end()) {
      out_ += *opening;
    } else if (take("(?<")) {
      while (more() && peek() != '>') ++at_;
      if (!take(">")) refuse("a group's name without an end");
      out_ += "(?:";
    } else if (take("(?")) {
      if (!read_options(options) || !take(":")) refuse(fmt::format("the group (?{}", peek()));
      out_ += options.ignore_case ? "(?i:" : "(?-i:";
    } else {
      ++at_;
      out_ += "(?:";
    }
    alternatives(options, depth + 1);
    if (!take(")")) refuse("a group without an end");
    out_ += ')';
    last_literal_ = 0;
    return true;
  }

  bool escape(Options options, std::size_t before_literal) {
    const char kind = peek(1);
    if (const auto set =
            read_escaped_set(pattern_, at_, options.ignore_case, [this](const std::string& why) { refuse(why); })) {
      out_ += *set;
      return true;
    }
    switch (kind) {
      case 'A':
      case 'z':
      case 'Z':
        at_ += 2;
        out_ += fmt::format("\\{}", kind);
        return false;
      case 'b':
      case 'B': {
        at_ += 2;
        const std::string word = word_set(false);
        out_ += kind == 'b' ? fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", word)
                            : fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", word);
        return false;
      }
      case 'R':
        at_ += 2;
        out_ += "(?>\\r\\n|[\\n\\x0b\\f\\r\\x85\\x{2028}\\x{2029}])";
        return true;
      default:
        break;
    }
    literal(read_escaped_code(pattern_, at_, [this](const std::string& why) { refuse(why); }), options, before_literal);
    return true;
  }

  void literal(char32_t code, Options options, std::size_t before_literal) {
    if (options.ignore_case) check_case(code, before_literal);
    out_ += pcre2_code(code);
    last_literal_ = code;
  }

  // Oniguruma folds some pairs of letters to one character (ss and U+00DF); PCRE2 does not.
  void check_case(char32_t code, std::size_t before) const {
    static constexpr std::array<std::string_view, 6> folded = {"ss", "ff", "fi", "fl", "st", "ij"};
    const auto lower = [](std::size_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; };
    for (const std::string_view pair : folded) {
      if (lower(before) == static_cast<unsigned char>(pair[0]) && lower(code) == static_cast<unsigned char>(pair[1])) {
        refuse(fmt::format("\"{}\" without regard to case", pair));
      }
    }
    const auto signed_code = static_cast<utf8proc_int32_t>(code);
    if (code >= 0x80 &&
        (utf8proc_tolower(signed_code) != signed_code || utf8proc_toupper(signed_code) != signed_code)) {
      refuse(fmt::format("U+{:04X} without regard to case", static_cast<std::uint32_t>(code)));
    }
  }

  // ?, *, + and {n,m} after the atom that starts at `start` of the output, each with ? (lazy) or + (possessive; after
  // {n,m} a + repeats again). Further ones repeat the whole.
  void quantifiers(std::size_t start) {
    for (bool repeated = false;; repeated = true) {
      const char first = peek();
      std::string quantifier;
      bool interval = false;
      if (first == '?' || first == '*' || first == '+') {
        ++at_;
        quantifier = first;
      } else if (first == '{') {
        const auto bounds = read_interval();
        if (!bounds) return;
        quantifier = *bounds;
        interval = true;
      } else {
        return;
      }
      last_literal_ = 0;
      if (repeated) {
        out_.insert(start, "(?:");
        out_ += ')';
      }
      if (peek() == '?') {
        if (interval && quantifier.find(',') == std::string::npos) refuse(quantifier + "?");
        ++at_;
        quantifier += '?';
      } else if (peek() == '+' && !interval) {
        ++at_;
        quantifier += '+';
      }
      out_ += quantifier;
    }
  }

  // {n}, {n,}, {,m} or {n,m}; anything else is literal text, as Oniguruma has it.
  std::optional<std::string> read_interval() {
    std::size_t position = at_ + 1;
    const auto number = [&]() -> std::optional<unsigned> {
      if (position >= pattern_.size() || pattern_[position] < '0' || pattern_[position] > '9') return std::nullopt;
      unsigned value = 0;
      for (; position < pattern_.size() && pattern_[position] >= '0' && pattern_[position] <= '9'; ++position) {
        value = value * 10 + static_cast<unsigned>(pattern_[position] - '0');
        if (value > most_repeats) refuse(fmt::format("more than {} repetitions", most_repeats));
      }
      return value;
    };
    const auto low = number();
    const bool comma = position < pattern_.size() && pattern_[position] == ',';
    if (comma) ++position;
    const auto high = comma ? number() : low;
    if ((!low && !high) || position >= pattern_.size() || pattern_[position] != '}') return std::nullopt;
    if (low && high && *low > *high) refuse("an interval from high to low");
    at_ = position + 1;
    if (!comma) return fmt::format("{{{}}}", *low);
    return high ? fmt::format("{{{},{}}}", low.value_or(0), *high) : fmt::format("{{{},}}", *low);
  }

  std::string_view pattern_;
  const std::string& field_;
  std::size_t at_ = 0;
  std::size_t last_literal_ = 0;  // the character before, where it is part of the same string; else 0
  std::string out_;
};

}  // namespace

std::string pcre2_pattern_of(std::string_view oniguruma, const std::string& field) {
  return Translator(oniguruma, field).translate();
}

std::string pcre2_literal_of(std::string_view text) {
  std::string pattern;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_at(text.data() + at);
    pattern += pcre2_code(point.code);
    at += point.size;
  }
  return pattern;
}

}  // namespace thresher::text
