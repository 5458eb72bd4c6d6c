#!/usr/bin/env python3
"""Encoding speed per core, Thresher against Hugging Face `tokenizers`, on the same text with the same result:

    tokenizer_speed.py TOKENIZER_SPEED TEXT TOKENIZER_JSON... [--cut lines|paragraphs|whole]

TOKENIZER_SPEED is the program of tokenizer_speed.cpp. Both sides use one thread, one pass to warm up and the best of at
least three, in CPU time; the library is asked through encode_batch_fast, its fastest way.
"""
import argparse
import ctypes
import os
import struct
import subprocess
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Tokenizer  # noqa: E402


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def digest(encodings):
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_128bits.restype = Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    data = b"".join(struct.pack(f"<I{len(e.ids)}I", len(e.ids), *e.ids) for e in encodings)
    value = library.XXH3_128bits(data, len(data))
    return f"{value.high:016x}{value.low:016x}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("text")
    parser.add_argument("tokenizers", nargs="+")
    parser.add_argument("--cut", default="lines", choices=["lines", "paragraphs", "whole"])
    options = parser.parse_args()
    text = open(options.text, encoding="utf-8", newline="").read()
    separator = {"lines": "\n", "paragraphs": "\n\n", "whole": None}[options.cut]
    documents = [text] if separator is None else [d for d in text.split(separator) if d]
    size = sum(len(d.encode()) for d in documents)
    print(f"{'tokenizer':60} {'Thresher MB/s':>14} {'tokenizers MB/s':>16} {'ratio':>6}  ids")
    for path in options.tokenizers:
        out = subprocess.run([options.program, path, options.text, options.cut], stdout=subprocess.PIPE, check=True)
        words = out.stdout.decode().split()
        ours = dict(zip(words[::2], words[1::2]))
        tokenizer = Tokenizer.from_file(path)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        same = digest(tokenizer.encode_batch_fast(documents)) == ours["digest"]
        best, start, passes = float("inf"), time.perf_counter(), 0
        while passes < 3 or time.perf_counter() - start < 1:
            begin = time.process_time()
            tokenizer.encode_batch_fast(documents)
            best = min(best, time.process_time() - begin)
            passes += 1
        theirs = size / 1e6 / best
        speed = float(ours["megabytes_per_second"])
        print(f"{path[-60:]:60} {speed:14.1f} {theirs:16.1f} {speed / theirs:6.1f}  {'equal' if same else 'DIFFERENT'}")


main()
