#!/usr/bin/env python3
"""Compares Thresher's tokenizers with Hugging Face `tokenizers` on random texts.

    compare_tokenizers.py ENCODE_LINES TOKENIZER_JSON... [--texts N] [--seed S] [--file TEXT]

ENCODE_LINES is the program of tests/text/tools. Ids (special tokens included) and the decoded text, with and without
special tokens, have to be equal. Texts mix scripts, marks, controls, spaces, numbers, emoji, the tokenizer's own added
tokens and pieces of its vocabulary.
"""
import argparse
import json
import random
import subprocess
import sys

from tokenizers import Tokenizer

RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0x30, 0x39), (0xA0, 0xFF), (0x100, 0x24F), (0x300, 0x36F),
    (0x370, 0x3FF), (0x400, 0x4FF), (0x530, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0xB80, 0xBFF), (0xE00, 0xE7F),
    (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x218F), (0x2200, 0x22FF), (0x2460, 0x24FF),
    (0x2580, 0x259F), (0x2E80, 0x2FDF), (0x3000, 0x30FF), (0x3200, 0x33FF), (0x4E00, 0x9FFF), (0xA640, 0xA69F),
    (0xA700, 0xA7FF), (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFEFF),
    (0xFF00, 0xFFEF), (0x10000, 0x1FFFF), (0x1D400, 0x1D7FF), (0x1F300, 0x1F6FF), (0x1F900, 0x1F9FF),
    (0x20000, 0x2A6DF), (0xE0000, 0xE01EF), (0x0, 0x1F), (0x0, 0x10FFFF),
]
CHUNKS = [
    " ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", " \n", "\u00a0", "\u3000", "\u200b", "\u200d", "\ufeff", "\u2581",
    "\u2581\u2581", "'s", "'S", "'re", "don't", "I'LL", "\u2019s", "'\u017f", "the", " the", "Hello", " world", "HELLO",
    "123", "1234567", "3.14", "1,000", "\u00bd", "\u2460", "\u0663\u0664", "...", "!?", "--", "http://a.b/c?d=e&f",
    "e\u0301", "\u00e9", "a\u0323\u0307", "\u1e69", "\u0130", "\u0131", "\u00df", "\ufb01", "\u03a3\u03b1\u03c2",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\u2764\ufe0f",
    "\uac00\u11a8", "\u1100\u1161\u11a8", "\u4f60\u597d", "\u3053\u3093", "\u30ab\u30fc", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u0627\u0644\u0633\u0644\u0627\u0645", "\u05e9\u05dc\u05d5\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u043f\u0440\u0438\u0432\u0435\u0442", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\x00",
    "<s>", "</s>", "<unk>", "[MASK]", "<0x41>", "<0xE2>", "\ufffd", "\U00010428", "\U000e0101", "\u0600a", "\u0d4ea",
]


def random_text(rng, words):
    kind = rng.random()
    parts = []
    for _ in range(rng.choice([0, 1, 2, 3, 5, 8, 13, 30]) if kind < 0.9 else rng.randrange(100, 300)):
        pick = rng.random()
        if pick < 0.35:
            parts.append(rng.choice(CHUNKS))
        elif pick < 0.55:
            parts.append(rng.choice(words))
        elif pick < 0.9:
            low, high = rng.choice(RANGES)
            parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))))
        else:
            parts.append(rng.choice(CHUNKS) * rng.randint(1, 20))
    return "".join(c for c in "".join(parts) if not 0xD800 <= ord(c) < 0xE000)


def escaped(text):
    return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in text.encode())


def words_of(path):
    data = json.load(open(path))
    vocabulary = data["model"]["vocab"]
    words = [t if isinstance(t, str) else t[0] for t in vocabulary]
    random.Random(0).shuffle(words)
    return words[:3000] + 300 * [t["content"] for t in data["added_tokens"][:50]] + ["a"]


def compare(program, path, texts):
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    given = b"".join(b"%d\n%s" % (len(t.encode()), t.encode()) for t in texts)
    out = subprocess.run([program, path], input=given, stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")
    bad = failed = 0
    for i, text in enumerate(texts):
        try:
            ids = tokenizer.encode(text).ids
            want = [" ".join(map(str, ids)), escaped(tokenizer.decode(ids, skip_special_tokens=False)),
                    escaped(tokenizer.decode(ids, skip_special_tokens=True))]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # no unknown token, or a panic of the library
            failed += 1
            want = [f"error {error}", "", ""]
        got = [out[3 * i].strip(), out[3 * i + 1], out[3 * i + 2]]
        if got != want and not want[0].startswith("error"):
            bad += 1
            if bad <= 3:
                print(f"DIFFERENT {path}\n text {text!r}\n ours {got}\n want {want}")
    print(f"{path}: {len(texts)} texts, {sum(map(len, texts))} characters, {bad} different, {failed} not encoded by the library")
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("tokenizers", nargs="+")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", help="compare on the lines, paragraphs and the whole of this text as well")
    options = parser.parse_args()
    bad = 0
    for path in options.tokenizers:
        rng = random.Random(options.seed)
        words = words_of(path)
        texts = [random_text(rng, words) for _ in range(options.texts)]
        if options.file:
            whole = open(options.file, encoding="utf-8", newline="").read()
            texts += [whole] + whole.split("\n\n") + whole.split("\n")
        bad += compare(options.program, path, texts)
    sys.exit(1 if bad else 0)


main()
