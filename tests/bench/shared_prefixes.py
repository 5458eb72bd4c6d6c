#!/usr/bin/python3
"""How much faster questions with choices are scored when their contexts are computed once.

usage: shared_prefixes.py THRESHER MODEL_DIR WORK_DIR [--questions N] [--choices N] [--length N] [--shared S]
                          [--rounds N] [-- more options of score]

Makes a token corpus of pairs, `choices` of each question, `length` tokens each of which the share S is the context, and
scores it with --share-prefixes on and off in turn; prints the medians, their ratio, and what the rows that are left to
be computed would allow. Both have to give the same bytes. Needs python3-h5py.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import h5py
import numpy


def write_corpus(path, arguments, vocabulary):
    random = numpy.random.default_rng(1)
    shared = round(arguments.length * arguments.shared)
    documents = []
    for _ in range(arguments.questions):
        context = random.integers(16, vocabulary, shared)
        for _ in range(arguments.choices):
            documents.append(numpy.concatenate([context, random.integers(16, vocabulary, arguments.length - shared)]))
    count = len(documents)
    with h5py.File(path, "w") as file:
        file["doc/offsets"] = numpy.arange(count + 1, dtype=numpy.uint64) * arguments.length
        file["doc/tokens"] = numpy.concatenate(documents).astype(numpy.uint32)
        file["doc/bytes"] = numpy.full(count, 3 * arguments.length, numpy.int64)
        file["doc/words"] = numpy.full(count, arguments.length, numpy.int64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("thresher", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--choices", type=int, default=10)
    parser.add_argument("--length", type=int, default=400, help="tokens of a question with one choice")
    parser.add_argument("--shared", type=float, default=0.9)
    parser.add_argument("--rounds", type=int, default=5)
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    arguments, more = parser.parse_args(words[:split]), words[split + 1:]
    arguments.work.mkdir(parents=True, exist_ok=True)
    config = json.loads((arguments.model / "config.json").read_text())
    corpus = arguments.work / "questions.h5"
    write_corpus(corpus, arguments, config["vocab_size"])
    summaries = {"on": [], "off": []}
    for _ in range(arguments.rounds):
        for share, found in summaries.items():  # in turn, so that a drifting machine hits both alike
            run = arguments.work / f"run-{share}"
            command = [arguments.thresher, "score", "--model", arguments.model, "--corpus", corpus, "--output", run,
                       "--fresh", "--share-prefixes", share, *more]
            subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
            found.append(json.loads((run / "summary.json").read_text()))
    results = [(arguments.work / f"run-{share}" / "results.h5").read_bytes() for share in summaries]
    if results[0] != results[1]:
        raise SystemExit("results.h5 differs")
    print(f"{'sharing':<10}{'rows computed':>15}{'seconds':>10}{'tokens/s':>12}{'of peak':>10}")
    seconds, rows = {}, {}
    for share, found in summaries.items():
        seconds[share] = statistics.median(summary["score_seconds"] for summary in found)
        rows[share] = found[0]["rows_computed"]
        fraction = statistics.median(summary["peak_fraction"] for summary in found)
        print(f"{share:<10}{rows[share]:>15}{seconds[share]:>10.2f}"
              f"{found[0]['tokens'] / seconds[share]:>12.0f}{fraction:>10.3f}")
    print(f"{seconds['off'] / seconds['on']:.2f} times as fast; {rows['off'] / rows['on']:.2f} by the rows alone")


if __name__ == "__main__":
    main()
