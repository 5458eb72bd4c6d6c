#!/usr/bin/env python3
"""Writes src/text/unicode_script_table.cpp: which script the UnicodeScripts pre-tokenizer of Hugging Face `tokenizers`
sees in every code point, found by asking it whether two neighbours stay together.

    make_script_table.py > src/text/unicode_script_table.cpp
"""
from tokenizers import pre_tokenizers

SPLIT = pre_tokenizers.UnicodeScripts()
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def cuts(text):
    """Offsets at which the text is cut."""
    return {begin for _, (begin, _) in SPLIT.pre_tokenize_str(text)}


def main():
    # One pass over neighbours finds the ranges; only their first code points are compared with each other.
    text = "".join(map(chr, CODES))
    starts = sorted(cuts(text) | {0})
    # A character without a script never starts a piece, so ask each one on its own as well: "a" stays with it, and so
    # does alpha.
    both = "".join("a" + chr(c) + "\u03b1" + chr(c) for c in CODES)
    at = cuts(both)
    neutral = {c for i, c in enumerate(CODES) if 4 * i + 1 not in at and 4 * i + 3 not in at}
    scripts = []  # a representative of each
    ranges = []
    edges = sorted(set(starts) | {i for i, c in enumerate(CODES)
                                  if i and ((c in neutral) != (CODES[i - 1] in neutral))} | {len(CODES)})
    for first, end in zip(edges, edges[1:]):
        code = CODES[first]
        if code in neutral:
            continue
        for number, other in enumerate(scripts):
            if 1 not in cuts(chr(other) + chr(code)):
                break
        else:
            number = len(scripts)
            scripts.append(code)
        last = CODES[end - 1]
        if ranges and ranges[-1][2] == number and ranges[-1][1] == code - 1:
            ranges[-1][1] = last
        else:
            ranges.append([code, last, number])
    print("// clang-format off\n// Written by tests/reference/make_script_table.py.")
    print('#include "text/unicode_scripts.h"\n')
    print("namespace thresher::text {\nnamespace {\n")
    print("constexpr ScriptRange ranges[] = {")
    line = "   "
    for first, last, number in ranges:
        cell = f"{{0x{first:X},0x{last:X},{number}}},"
        if len(line) + 1 + len(cell) > 118:
            print(line)
            line = "   "
        line += " " + cell
    print(line)
    print("};\n\n}  // namespace\n\nconst std::span<const ScriptRange> script_ranges = ranges;\n\n}  // namespace thresher::text")


main()
