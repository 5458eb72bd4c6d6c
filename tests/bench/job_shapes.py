#!/usr/bin/python3
"""Speed, packing and memory of whole jobs whose documents have very different lengths, beside what was planned.

usage: job_shapes.py THRESHER MODEL_DIR WORK_DIR [--shapes LIST] [--tokens N] [--window N] [--rounds N] [-- MORE]

Makes a token corpus of each shape with about --tokens tokens:
  uniform  256 tokens a document
  short    5 to 35 tokens a document
  web      lengths as web texts have them: lognormal, mean 600, at most 8,192
  long     ten documents, in windows of the model's positions
  window   one document of --window tokens in a single window, so that attention reaches all the way back
and scores them in turn; MORE are options of score. Prints the medians of the rounds: tokens/s, what that is of the first
shape's and how many times as fast `thresher plan` foresaw it, shares of the machine's peak, of the time in matrix products
and in all computation, how full all batches but the last were, and peak memory beside what was planned and what
[tokens x vocabulary] would need. Models get the positions that their longest document needs. Token corpora, so that the
model and the job are timed and not the tokenizer. Needs python3-h5py.
"""
import argparse
import json
import math
import pathlib
import shlex
import statistics
import subprocess
import sys

import h5py
import numpy

SHAPES = ("uniform", "short", "web", "long", "window")
TOKENS_PER_BATCH = 1024


def write_corpus(path, lengths, vocabulary, seed):
    random = numpy.random.default_rng(seed)
    offsets = numpy.concatenate([[0], numpy.cumsum(lengths)]).astype(numpy.uint64)
    kind = numpy.uint16 if vocabulary <= 1 << 16 else numpy.uint32
    tokens = random.integers(16, vocabulary, int(offsets[-1]), dtype=kind)
    with h5py.File(path, "w") as file:
        file["doc/offsets"] = offsets
        file["doc/tokens"] = tokens
        file["doc/bytes"] = lengths.astype(numpy.int64) * 3
        file["doc/words"] = lengths.astype(numpy.int64)


def lengths_of(shape, tokens, window):
    random = numpy.random.default_rng(1)
    if shape == "uniform":
        return numpy.full(max(1, tokens // 256), 256)
    if shape == "long":
        return numpy.full(10, tokens // 10)
    if shape == "window":
        return numpy.array([window])
    if shape == "short":
        many = random.integers(5, 36, tokens // 5)
    else:
        many = numpy.clip(random.lognormal(math.log(600) - 0.5, 1, tokens // 100), 2, 8192).astype(numpy.int64)
    return many[: max(1, int(numpy.searchsorted(numpy.cumsum(many), tokens)))]


def model_of(model, work, positions):
    """The same weights with at least so many positions."""
    config = json.loads((model / "config.json").read_text())
    if config["max_position_embeddings"] >= positions:
        return model
    config["max_position_embeddings"] = positions
    changed = work / f"model-{positions}"
    changed.mkdir(exist_ok=True)
    for file in model.iterdir():
        (changed / file.name).unlink(missing_ok=True)
        if file.name != "config.json":
            (changed / file.name).symlink_to(file.resolve())
    (changed / "config.json").write_text(json.dumps(config))
    return changed


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


class Shape:
    def __init__(self, name, arguments):
        self.name, self.thresher, self.options = name, arguments.thresher, arguments.options
        self.lengths = lengths_of(name, arguments.tokens, arguments.window)
        config = json.loads((arguments.model / "config.json").read_text())
        self.vocabulary = config["vocab_size"]
        # A token is scored from those before it and the one that begins every document. Windows are the point of "long".
        positions = 0 if name == "long" else int(self.lengths.max()) + 1
        self.model = model_of(arguments.model, arguments.work, positions)
        self.window = json.loads((self.model / "config.json").read_text())["max_position_embeddings"]
        self.corpus, self.output = arguments.work / f"{name}.h5", arguments.work / f"run-{name}"
        write_corpus(self.corpus, self.lengths, self.vocabulary, SHAPES.index(name))
        self.runs = []
        self.planned = None

    def job(self):
        return ["--model", self.model, "--corpus", self.corpus, "--stride", self.window - 1, "--tokens-per-batch",
                TOKENS_PER_BATCH]

    def plan(self):
        out = json.loads(run([self.thresher, "plan", *self.job(), "--json"]))
        layout = out["layouts"][0]
        memory = max(shard["total"] for stage in layout["stages"] for shard in stage["shards"])
        self.planned = layout["tokens_per_second"], memory

    def score(self):
        run([self.thresher, "score", *self.job(), "--output", self.output, "--fresh", *self.options])
        summary = json.loads((self.output / "summary.json").read_text())
        metrics = json.loads((self.output / "run.json").read_text())["ranks"][0]["metrics"]
        full = metrics["batches"] - 1
        last = metrics["tokens fed"] % TOKENS_PER_BATCH
        summary["fill"] = (metrics["tokens fed"] - last) / (full * TOKENS_PER_BATCH) if full > 0 else 1
        summary["computing"] = summary["time_shares"]["compute"]
        self.runs.append(summary)

    def median(self, name):
        return statistics.median(one[name] for one in self.runs)

    def row(self, base):
        rate, memory = self.median("tokens_per_second"), max(one["peak_memory_bytes"] for one in self.runs)
        return (f"{self.name:<9}{len(self.lengths):>10}{int(self.lengths.sum()):>10}{rate:>10.0f}"
                f"{rate / base:>9.2f}{self.planned[0] / rate:>9.2f}{self.median('peak_fraction'):>8.1%}"
                f"{self.median('products_fraction'):>10.1%}{self.median('computing'):>11.1%}"
                f"{min(1, self.median('fill')):>8.1%}{memory / 2**20:>10.0f}{self.planned[1] / memory:>9.2f}"
                f"{int(self.lengths.max()) * self.vocabulary * 4 / 2**20:>13.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("thresher", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--shapes", default="uniform,short,web,long")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="tokens of every corpus but window's")
    parser.add_argument("--window", type=int, default=100_000, help="tokens of window's document")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    shapes = [Shape(name, arguments) for name in arguments.shapes.split(",")]
    for shape in shapes:
        shape.plan()
    for _ in range(arguments.rounds):
        for shape in shapes:  # in turn, so that a drifting machine hits all alike
            shape.score()
    print(f"{'corpus':<9}{'documents':>10}{'tokens':>10}{'tokens/s':>10}{'of 1st':>9}{'planned':>9}{'peak':>8}"
          f"{'products':>10}{'computing':>11}{'filled':>8}{'peak MiB':>10}{'planned':>9}{'[T x V] MiB':>13}")
    base = shapes[0].median("tokens_per_second")
    for shape in shapes:
        print(shape.row(base), flush=True)


if __name__ == "__main__":
    main()
