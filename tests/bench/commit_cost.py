#!/usr/bin/python3
"""What commits cost: tokens per second of a job that commits every so many seconds, and of one that commits once.

usage: commit_cost.py THRESHER MODEL_DIR WORK_DIR [--seconds S ...] [--commits N] [--rounds N] [-- more options of score]

A first job tells the machine's rate. Then one token corpus (256 tokens a document), large enough for N commits at the
longest interval, is scored with one shard, with shards of S seconds each, and with --shard-documents as it is by itself,
in turn. Prints medians and the median of the rounds' ratios to one shard. Needs python3-h5py.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

import numpy

from job_shapes import write_corpus

LENGTH = 256  # tokens of a document


def score(arguments, corpus, shard):
    """The summary of a job with shards of so many documents; None: the program's own."""
    run = arguments.work / "run"
    command = [arguments.thresher, "score", "--model", arguments.model, "--corpus", corpus, "--output", run, "--fresh",
               *(["--shard-documents", shard] if shard else []), *arguments.options]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads((run / "summary.json").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("thresher", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, nargs="+", default=[30.0], help="between two commits")
    parser.add_argument("--commits", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    vocabulary = json.loads((arguments.model / "config.json").read_text())["vocab_size"]
    arguments.work.mkdir(parents=True, exist_ok=True)
    corpus = arguments.work / "corpus.h5"
    write_corpus(corpus, numpy.full(2000, LENGTH), vocabulary, 1)
    rate = score(arguments, corpus, 2000)["tokens_per_second"]
    documents = int(arguments.commits * max(arguments.seconds) * rate / LENGTH)
    write_corpus(corpus, numpy.full(documents, LENGTH), vocabulary, 2)

    shards = {"once": documents, "by itself": None}
    shards.update({f"every {seconds:g} s": max(1, int(seconds * rate / LENGTH)) for seconds in arguments.seconds})
    rates = {name: [] for name in shards}
    for _ in range(arguments.rounds):
        for name, shard in shards.items():
            rates[name].append(score(arguments, corpus, shard)["tokens_per_second"])
    print(f"{'commits':<14}{'of documents':>14}{'tokens/s':>12}{'of once':>10}   ({documents} documents)")
    for name, shard in shards.items():
        ratio = statistics.median(mine / once for mine, once in zip(rates[name], rates["once"]))
        print(f"{name:<14}{shard or '':>14}{statistics.median(rates[name]):>12.0f}{ratio:>10.3f}")


if __name__ == "__main__":
    main()
