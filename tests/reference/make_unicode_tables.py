#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cpp: what Hugging Face `tokenizers` believes about every code point.

The library mixes four sets of Unicode tables (Rust's standard library, the regex crate, Oniguruma, and two crates of
about Unicode 8 and 9), so its answers are asked for, code point by code point, instead of being taken from one version
of the standard. What PCRE2 and utf8proc know already is left out; their versions are those of Debian 12.

    make_unicode_tables.py PCRE2_SETS UTF8PROC_TABLE > src/text/unicode_tables.cpp

PCRE2_SETS: a line for each property, its name and the code points (hexadecimal) that \\p{name} matches.
UTF8PROC_TABLE: a line for each code point: hex, combining class, simple lower case (hex), canonical and compatibility
decomposition (hex, comma separated). `unicode_probe.cpp` beside this file writes both.
"""
import sys

from tokenizers import Regex, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, CODES))


def removed_by(pre_tokenizer):
    """The code points that a pre-tokenizer treats as delimiters and removes."""
    kept = set()
    for _, (begin, end) in pre_tokenizer.pre_tokenize_str(TEXT):
        kept.update(CODES[begin:end])
    return set(CODES) - kept


def regex_set(pattern):
    return removed_by(pre_tokenizers.Split(Regex(pattern), "removed"))


def deleted_by(normalizer):
    return {c for c in CODES if normalizer.normalize_str("a" + chr(c) + "b") == "ab"}


def ranges(codes):
    result = []
    for code in sorted(codes):
        if result and result[-1][1] == code - 1:
            result[-1][1] = code
        else:
            result.append([code, code])
    return result


def table(name, comment, codes):
    print(f"// {comment}")
    print(f"constexpr CodeRange {name}_ranges[] = {{")
    cells = [f"{{0x{a:X},0x{b:X}}}," for a, b in ranges(codes)]
    line = "   "
    for cell in cells:
        if len(line) + 1 + len(cell) > 118:
            print(line)
            line = "   "
        line += " " + cell
    print(line)
    print("};\n")


def main():
    pcre = {}
    for line in open(sys.argv[1]):
        name, *codes = line.split()
        pcre[name] = {int(c, 16) for c in codes}
    classes, lower, canonical, compatible = {}, {}, {}, {}
    for line in open(sys.argv[2]):
        code, ccc, low, nfd, nfkd = line.split()
        code = int(code, 16)
        classes[code], lower[code] = int(ccc), int(low, 16)
        canonical[code] = "".join(chr(int(c, 16)) for c in nfd.split(","))
        compatible[code] = "".join(chr(int(c, 16)) for c in nfkd.split(","))

    print("// clang-format off\n// Written by tests/reference/make_unicode_tables.py; the script says where the numbers come from.")
    print('#include "text/unicode_tables.h"\n')
    print("namespace thresher::text::tables {\nnamespace {\n")
    names = []

    def emit(name, comment, codes):
        table(name, comment, codes)
        names.append(name)

    split = pre_tokenizers.Whitespace()
    word = {c for c in CODES if len(split.pre_tokenize_str("a" + chr(c) + "a")) == 1}
    emit("word", "\\w of the regex crate: the Whitespace pre-tokenizer, single_word.", word)
    emit("punctuation", "Punctuation and BertPreTokenizer.", removed_by(pre_tokenizers.Punctuation("removed")))
    digits = pre_tokenizers.Digits(individual_digits=True)
    found = {p for p, _ in digits.pre_tokenize_str("".join("a" + chr(c) + "a" for c in CODES)) if len(p) == 1}
    emit("numeric", "Digits.", {c for c in CODES if chr(c) in found})
    accents = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    nfd = normalizers.NFD()
    emit("nonspacing_mark", "What BertNormalizer's strip_accents removes after NFD.",
         {c for c in CODES if nfd.normalize_str(chr(c)) == chr(c) and accents.normalize_str(chr(c)) == ""})
    emit("combining_mark", "What StripAccents removes.", deleted_by(normalizers.StripAccents()))
    clean = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    private = set(range(0xE000, 0xF900)) | set(range(0xF0000, 0xFFFFE)) | set(range(0x100000, 0x10FFFE))
    emit("control", "What BertNormalizer's clean_text removes, private use left out.", deleted_by(clean) - private)

    nfkd = normalizers.NFKD()
    inert = set()
    for c in CODES:
        s = chr(c)
        if canonical[c] != nfd.normalize_str(s) or compatible[c] != nfkd.normalize_str(s):
            assert nfkd.normalize_str(s) == s, hex(c)
            inert.update({c} | set(map(ord, canonical[c] if canonical[c] != s else "")))
        elif classes[c] and canonical[c] == s:
            # A mark moves before one of a higher class and after one of a lower class (U+0334: 1, U+0345: 240).
            moves = (nfd.normalize_str("\u0345" + s) != "\u0345" + s) or (nfd.normalize_str(s + "\u0334") != s + "\u0334")
            if not moves:
                inert.add(c)
    emit("inert", "Characters younger than the library's normalisation forms: they neither decompose nor combine.", inert)
    for name in "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf".split():
        extra = regex_set(f"\\p{{{name}}}") - pcre[name]
        if extra:
            emit(f"pattern_{name}", f"\\p{{{name}}} of Oniguruma beyond PCRE2's.", extra)
    scripts = "Arabic Bengali Cyrillic Devanagari Greek Gujarati Han Hangul Hebrew Hiragana Katakana Khmer Lao Latin " \
              "Malayalam Myanmar Sinhala Tamil Telugu Thai Tibetan".split()
    for name in scripts:
        extra = regex_set(f"\\p{{{name}}}") - pcre[name]
        assert not pcre[name] - regex_set(f"\\p{{{name}}}"), name
        if extra:
            emit(f"pattern_{name}", f"\\p{{{name}}} of Oniguruma beyond PCRE2's.", extra)
    known = set()
    for name in "Lu Ll Lt Lm Lo Mn Mc Me Nd Pc".split():
        known |= regex_set(f"\\p{{{name}}}")
    word = regex_set("[\\w]")
    assert not known - word
    # Outside of brackets Oniguruma asks another table for Latin-1.
    assert regex_set("\\w") - word == set(map(ord, "\u00b2\u00b3\u00b9\u00bc\u00bd\u00be"))
    emit("pattern_word", "[\\w] of Oniguruma beyond letters, marks, decimal digits and connectors.", word - known)

    print("// Lower case beyond utf8proc's: the first code point, the last, and what is added to each.")
    print("constexpr LowerRange lower_ranges[] = {")
    low = normalizers.Lowercase()
    spans = []
    for c in CODES:
        s = low.normalize_str(chr(c))
        if len(s) == 1 and ord(s) != lower[c]:
            shift = ord(s) - c
            if spans and spans[-1][1] == c - 1 and spans[-1][2] == shift:
                spans[-1][1] = c
            else:
                spans.append([c, c, shift])
        assert len(s) == 1 or c == 0x130, hex(c)
    for a, b, shift in spans:
        print(f"    {{0x{a:X}, 0x{b:X}, {shift}}},")
    print("};\n\n}  // namespace\n")
    for name in names:
        if not name.startswith("pattern_"):
            print(f"const std::span<const CodeRange> {name} = {name}_ranges;")
    print("const std::span<const LowerRange> lower = lower_ranges;\n")
    print("std::span<const CodeRange> pattern_extra(std::string_view property) {")
    for name in names:
        if name.startswith("pattern_"):
            print(f'  if (property == "{name[8:]}") return {name}_ranges;')
    print("  return {};\n}\n\n}  // namespace thresher::text::tables")


main()
