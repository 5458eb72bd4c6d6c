// Oniguruma's character classes in PCRE2's syntax. Unicode properties get the code points that Oniguruma's newer tables
// have beyond PCRE2's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace thresher::text {

// Called with the reason where something has no exact translation; does not return.
using Refuse = std::function<void(const std::string& why)>;

// A literal character, escaped where PCRE2 needs it.
std::string pcre2_code(char32_t code);

// The inside of a bracket class that matches Oniguruma's \w outside of brackets, or its [\w]: they differ in Latin-1's
// superscripts and fractions.
std::string word_set(bool in_brackets);

// [...] at `at`, which moves past it: a PCRE2 atom.
std::string read_class(std::string_view pattern, std::size_t& at, bool ignore_case, const Refuse& refuse);

// \s \S \d \D \w \W \h \H \p{...} \P{...} at `at` as a PCRE2 atom; nothing (and `at` as it was) for any other escape.
std::optional<std::string> read_escaped_set(std::string_view pattern, std::size_t& at, bool ignore_case,
                                            const Refuse& refuse);

// \n, \x41, \x{1F600}, \u3000, \. and so on: the character.
char32_t read_escaped_code(std::string_view pattern, std::size_t& at, const Refuse& refuse);

}  // namespace thresher::text
