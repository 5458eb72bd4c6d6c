// Writes what PCRE2 and utf8proc know about every code point, for make_unicode_tables.py:
//   g++ -std=c++20 unicode_probe.cpp -o unicode_probe -lpcre2-8 -lutf8proc
//   ./unicode_probe pcre2 > pcre2.txt; ./unicode_probe utf8proc > utf8proc.txt
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

constexpr int code_points = 0x110000;

bool is_surrogate(int code) {
  return code >= 0xD800 && code < 0xE000;
}

void write_sets() {
  for (const char* name :
       {"Lu",       "Ll",        "Lt",      "Lm",      "Lo",       "Mn",       "Mc",         "Me",
        "Nd",       "Nl",        "No",      "Pc",      "Pd",       "Ps",       "Pe",         "Pi",
        "Pf",       "Po",        "Sm",      "Sc",      "Sk",       "So",       "Zs",         "Zl",
        "Zp",       "Cc",        "Cf",      "Arabic",  "Bengali",  "Cyrillic", "Devanagari", "Greek",
        "Gujarati", "Han",       "Hangul",  "Hebrew",  "Hiragana", "Katakana", "Khmer",      "Lao",
        "Latin",    "Malayalam", "Myanmar", "Sinhala", "Tamil",    "Telugu",   "Thai",       "Tibetan"}) {
    const std::string pattern = std::string("\\p{") + (std::strlen(name) > 2 ? "sc:" : "") + name + "}";
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                     PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
    std::printf("%s", name);
    for (int c = 0; c < code_points; ++c) {
      if (is_surrogate(c)) continue;
      std::array<utf8proc_uint8_t, 4> bytes;
      const auto size = static_cast<PCRE2_SIZE>(utf8proc_encode_char(c, bytes.data()));
      if (pcre2_match(code, bytes.data(), size, 0, PCRE2_ANCHORED, match, nullptr) > 0) std::printf(" %x", c);
    }
    std::printf("\n");
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }
}

void write_decomposition(int code, int options) {
  std::array<utf8proc_int32_t, 64> out;
  int boundary = 0;
  const auto count = utf8proc_decompose_char(code, out.data(), out.size(),
                                             static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | options), &boundary);
  for (int i = 0; i < count; ++i) std::printf("%s%x", i == 0 ? " " : ",", static_cast<unsigned>(out[i]));
}

void write_characters() {
  for (int c = 0; c < code_points; ++c) {
    if (is_surrogate(c)) continue;
    std::printf("%x %d %x", c, utf8proc_get_property(c)->combining_class, utf8proc_tolower(c));
    write_decomposition(c, 0);
    write_decomposition(c, UTF8PROC_COMPAT);
    std::printf("\n");
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 64;
  if (std::strcmp(arguments[1], "pcre2") == 0) {
    write_sets();
  } else {
    write_characters();
  }
}
