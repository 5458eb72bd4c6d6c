#!/usr/bin/python3
"""Tokens per second and peak memory of whole jobs whose documents have very different lengths.

usage: job_shapes.py THRESHER MODEL_DIR WORK_DIR [--short N] [--tokens N] [--rounds N] [-- more options of score]

Makes three token corpora of about the same number of tokens (uniform: 256 tokens a document; short: N documents of 5 to
35 tokens; long: ten documents), scores each with windows of the model's positions without overlap, and prints the
median of the rounds, the ratio to uniform, and the peak memory next to what [tokens x vocabulary] would have needed.
Token corpora, so that the model and the job are timed and not the tokenizer. Needs python3-h5py.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

import h5py
import numpy


def write_corpus(path, lengths, vocabulary, seed):
    random = numpy.random.default_rng(seed)
    offsets = numpy.concatenate([[0], numpy.cumsum(lengths)]).astype(numpy.uint64)
    tokens = random.integers(16, vocabulary, int(offsets[-1]), dtype=numpy.uint16)
    with h5py.File(path, "w") as file:
        file["doc/offsets"] = offsets
        file["doc/tokens"] = tokens
        file["doc/bytes"] = lengths.astype(numpy.int64) * 3
        file["doc/words"] = lengths.astype(numpy.int64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("thresher", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--short", type=int, default=50_000, help="documents of the short corpus")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="tokens of the uniform and the long corpus")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    config = json.loads((arguments.model / "config.json").read_text())
    window, vocabulary = config["max_position_embeddings"], config["vocab_size"]
    random = numpy.random.default_rng(1)
    shapes = {
        "uniform": numpy.full(arguments.tokens // 256, 256),
        "short": random.integers(5, 36, arguments.short),
        "long": numpy.full(10, arguments.tokens // 10),
    }
    arguments.work.mkdir(parents=True, exist_ok=True)
    for seed, (name, lengths) in enumerate(shapes.items()):
        write_corpus(arguments.work / f"{name}.h5", lengths, vocabulary, seed)

    rates = {name: [] for name in shapes}
    memory = {}
    for _ in range(arguments.rounds):
        for name in shapes:  # in turn, so that a drifting machine hits all alike
            run = arguments.work / f"run-{name}"
            command = [arguments.thresher, "score", "--model", arguments.model, "--corpus", arguments.work / f"{name}.h5",
                       "--output", run, "--fresh", "--stride", str(window - 1), *arguments.options]
            subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
            summary = json.loads((run / "summary.json").read_text())
            rates[name].append(summary["tokens_per_second"])
            memory[name] = summary["peak_memory_bytes"]
    base = statistics.median(rates["uniform"])
    print(f"{'corpus':<10}{'documents':>11}{'tokens':>12}{'tokens/s':>12}{'of uniform':>12}{'peak MiB':>10}{'[T x V] MiB':>13}")
    for name, lengths in shapes.items():
        rate = statistics.median(rates[name])
        print(f"{name:<10}{len(lengths):>11}{int(lengths.sum()):>12}{rate:>12.0f}{rate / base:>12.2f}"
              f"{memory[name] / 2**20:>10.0f}{int(lengths.max()) * vocabulary * 4 / 2**20:>13.0f}")


if __name__ == "__main__":
    main()
