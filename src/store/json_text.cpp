#include "store/json_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "store/utf8.h"

namespace thresher::store {
namespace {

template <class Number>
void append_digits(std::string& out, Number number) {
  char digits[32];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  out.append(digits, end);
}

template <class Number>
void append_real(std::string& out, Number number) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  append_digits(out, number);
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
  }
}

bool needs_escape(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

}  // namespace

void append_json(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t valid = valid_prefix(text);
    for (const char c : text.substr(0, valid)) {
      if (needs_escape(c))
        append_escaped(out, c);
      else
        out += c;
    }
    text.remove_prefix(valid);
    if (text.empty()) break;
    out += "\xef\xbf\xbd";
    text.remove_prefix(1);
  }
  out += '"';
}

void append_json(std::string& out, double number) {
  append_real(out, number);
}
void append_json(std::string& out, float number) {
  append_real(out, number);
}
void append_json(std::string& out, std::int64_t number) {
  append_digits(out, number);
}

}  // namespace thresher::store
