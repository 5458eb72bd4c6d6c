#!/usr/bin/python3
"""`thresher score` against llama.cpp and ik_llama.cpp, on the same random weights and the same token ids.

usage: compare_llama.py THRESHER WORK_DIR [--llama-cpp SOURCE BUILD] [--ik-llama-cpp SOURCE BUILD] [--rounds N]
                        [--models 1b,small] [--threads N] [--json FILE] [--tune]

What is compared and how to read it: README.md in this folder. WORK_DIR (8 GB) keeps the models, and the settings that
were found to be fastest for the peers; --tune finds them again.
"""
import argparse
import dataclasses
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys

import h5py
import numpy

import gguf
from llama_peers import CHECKED, LENGTH, Peer, ProgramFailed, Run, Settings

TOO_FAR = 0.5  # nats: mean difference of a token's log-probability that cannot be rounding
KINDS = {"bf16": gguf.BF16, "f32": gguf.F32, "Q8_0": gguf.Q8_0}


@dataclasses.dataclass(frozen=True)
class Shape:
    """A model, the formats to compare it in, and the documents of a run."""
    key: str
    name: str
    own: dict  # thresher's dtype, perhaps with another option -> documents
    peers: dict  # format of the GGUF -> documents

    def with_documents(self, count):
        return dataclasses.replace(self, own=dict.fromkeys(self.own, count),
                                   peers=dict.fromkeys(self.peers, count))


SHAPES = {
    "1b": Shape("1b", "llama-1b", {"bf16": 24, "int8": 32, "int8 --int8-head": 32, "f32": 12}, {"bf16": 4, "Q8_0": 4}),
    "small": Shape("small", "llama-small", {"bf16": 128, "f32": 64}, {"bf16": 32, "f32": 32}),
}

AS_IT_COMES = "llama-perplexity without options"

# What the comparison is for: (shape, thresher's dtype, what it is divided by, at least).
RATIOS = [
    ("1b", "bf16", ("llama.cpp", "llama-perplexity", "bf16"), 2),
    ("1b", "bf16", ("llama.cpp", AS_IT_COMES, "bf16"), 2),
    ("1b", "bf16", ("llama.cpp", "all positions", "bf16"), None),
    ("1b", "bf16", ("ik_llama.cpp", "llama-perplexity", "bf16"), None),
    ("1b", "bf16", ("ik_llama.cpp", "all positions", "bf16"), 1.13),
    ("1b", "int8", ("llama.cpp", "llama-perplexity", "Q8_0"), 4.5),
    ("1b", "int8", ("llama.cpp", AS_IT_COMES, "Q8_0"), 4.5),
    ("1b", "int8", ("llama.cpp", "all positions", "Q8_0"), None),
    ("1b", "int8", ("ik_llama.cpp", "all positions", "Q8_0"), 1.8),
    ("1b", "int8", ("ik_llama.cpp", "all positions", "bf16"), 1.8),
    ("1b", "int8 --int8-head", ("llama.cpp", "llama-perplexity", "Q8_0"), None),
    ("1b", "int8 --int8-head", ("ik_llama.cpp", "all positions", "bf16"), None),
    ("small", "bf16", ("llama.cpp", "llama-perplexity", "bf16"), None),
    ("small", "bf16", ("llama.cpp", "all positions", "bf16"), 4),
    ("small", "bf16", ("ik_llama.cpp", "all positions", "bf16"), None),
    ("small", "f32", ("llama.cpp", "llama-perplexity", "f32"), None),
    ("small", "f32", ("llama.cpp", "all positions", "f32"), None),
    ("small", "f32", ("ik_llama.cpp", "all positions", "f32"), None),
]


class Corpus:
    """Random ids in the three forms that the programs read: HDF5, int32, and text that gives just these ids."""

    def __init__(self, work, name, vocabulary, documents):
        self.work, self.name = work, name
        self.numbers = numpy.random.default_rng(1).integers(gguf.SPECIAL, vocabulary, (documents, LENGTH))
        self.ids, self.text = work / f"{name}.ids", work / f"{name}.txt"
        self.numbers.astype(numpy.int32).tofile(self.ids)
        self.text.write_text("".join(map(gguf.character, self.numbers.ravel().tolist())), encoding="utf-8")

    def hdf5(self, documents):
        path = self.work / f"{self.name}-{documents}.h5"
        lengths = numpy.full(documents, LENGTH, numpy.int64)
        with h5py.File(path, "w") as file:
            file["doc/offsets"] = numpy.arange(documents + 1, dtype=numpy.uint64) * LENGTH
            file["doc/tokens"] = self.numbers[:documents].ravel().astype(numpy.uint32)
            file["doc/bytes"], file["doc/words"] = 4 * lengths, lengths
        return path


class Thresher:
    def __init__(self, program, work, threads):
        self.program, self.work, self.threads = program, work, threads

    def peaks(self, dtypes):
        """FLOP/s (int8: operations/s) of each dtype."""
        words = [self.program, "bench", "--shape", "tiny", "--dtype", ",".join(dtypes), "--threads", self.threads,
                 "--seconds", "0.1", "--json"]
        return json.loads(subprocess.run(list(map(str, words)), check=True, capture_output=True).stdout)["peak"]

    def score(self, model, corpus, documents, dtype, *more):
        run = self.work / "run"
        words = [self.program, "score", "--model", model, "--corpus", corpus.hdf5(documents), "--output", run, "--fresh",
                 "--threads", self.threads, "--dtype", *dtype.split(), "--bos", "never", *more]
        subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((run / "summary.json").read_text())
        logprobs = None
        with h5py.File(run / "results.h5") as file:
            if list(file["tokens"][:]) != [LENGTH - 1] * documents:
                raise SystemExit(f"{run}: not every token but the documents' first is scored")
            mean = float(file["logprob"][:CHECKED].sum()) / CHECKED / (LENGTH - 1)
            if "token" in file:
                logprobs = file["token/logprob"][:].reshape(documents, LENGTH - 1)
        return Run(documents * LENGTH, summary["score_seconds"], mean, logprobs, summary["products_fraction"])


def flop_of(config, head_share):
    """(layers' products, attention, head) of a token of a document of LENGTH, scored in `head_share` of the positions."""
    width, heads, layers = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    size = config["head_dim"]
    weights = size * width * (2 * heads + 2 * config["num_key_value_heads"]) + 3 * width * config["intermediate_size"]
    attention = 4 * heads * size * (LENGTH + 1) / 2
    return 2 * layers * weights, layers * attention, 2 * width * config["vocab_size"] * head_share


def least_seconds(config, dtype, head_share, peaks):
    """Of a token on this machine at its peak. Attention is never in 8 bits, and thresher's head only where asked for."""
    layers, attention, head = flop_of(config, head_share)
    wide, narrow = (dtype, dtype) if dtype in ("bf16", "f32") else ("bf16", "int8")
    return layers / peaks[narrow] + attention / peaks[wide] + head / peaks[wide if dtype == "int8" else narrow]


class Entry:
    """A program with a format: what is run once a round."""

    def __init__(self, shape, program, what, dtype, run):
        self.shape, self.program, self.what, self.dtype, self.run = shape, program, what, dtype, run
        self.key = (program, what, dtype)
        self.settings = None
        self.rates, self.products, self.difference, self.mean = [], [], None, None

    def time(self, model):
        try:
            result = self.run()
        except (ProgramFailed, subprocess.CalledProcessError) as failure:
            print(f"{failure}\nonce more:", file=sys.stderr, flush=True)
            result = self.run()
        self.rates.append(result.tokens / result.seconds)
        if result.products_fraction is not None:
            self.products.append(result.products_fraction)
        self.check(result, model.reference)

    def peak_share(self, model, peaks):
        scored = LENGTH / 2 if self.what.startswith("llama-perplexity") else LENGTH - 1
        return statistics.median(self.rates) * least_seconds(model.config, self.dtype, scored / LENGTH, peaks)

    def check(self, result, reference):
        """That these are the log-probabilities which thresher's f32 gives to the same tokens."""
        self.mean = result.mean
        expected = reference[:, LENGTH // 2:] if self.what.startswith("llama-perplexity") else reference
        difference = abs(self.mean - float(expected.mean()))
        if result.logprobs is not None:
            difference = float(numpy.abs(result.logprobs[:CHECKED] - reference).mean())
        if not difference < TOO_FAR:
            raise SystemExit(f"{self.program}, {self.what}, {self.dtype}: log-probabilities differ by {difference:.3f} "
                             f"from thresher's in f32, {TOO_FAR} is the most: not the same work")
        if result.logprobs is not None or self.what.startswith("llama-perplexity"):
            self.difference = difference

    def json(self, share):
        return {"shape": self.shape, "program": self.program, "what": self.what, "dtype": self.dtype,
                "settings": self.settings and dataclasses.asdict(self.settings), "tokens_per_second": self.rates,
                "median": statistics.median(self.rates), "peak_share": share, "products_fraction": self.products,
                "mean_logprob": self.mean, "difference": self.difference}


class Model:
    """One shape's files, its programs, and thresher's f32 log-probabilities of the first documents."""

    def __init__(self, shape, thresher, peers, work):
        self.key, self.shape, self.work, self.thresher, self.peers = shape.key, shape, work, thresher, peers
        self.folder = work / self.shape.name
        if not self.folder.exists():
            subprocess.run([thresher.program, "bench", "--make-model", self.folder, "--shape", self.shape.name,
                            "--dtype", "bf16"], check=True)
        self.config = json.loads((self.folder / "config.json").read_text())
        documents = max(*self.shape.own.values(), *self.shape.peers.values())
        self.corpus = Corpus(work, self.shape.name, self.config["vocab_size"], documents)
        self.reference = thresher.score(self.folder, self.corpus, CHECKED, "f32", "--per-token").logprobs

    def gguf(self, dtype):
        path = self.work / f"{self.shape.name}-{dtype}.gguf"
        if not path.exists():
            gguf.write_gguf(self.folder, path, KINDS[dtype])
        return path

    def entries(self):
        found = [self.own_entry(dtype, documents) for dtype, documents in self.shape.own.items()]
        for peer in self.peers:
            for dtype, documents in self.shape.peers.items():
                found += [self.peer_entry(peer, what, dtype, documents)
                          for what in ("llama-perplexity", "all positions")]
                if self.key == "1b" and peer.name == "llama.cpp":
                    found.append(self.peer_entry(peer, AS_IT_COMES, dtype, documents))
        return found

    def own_entry(self, dtype, documents):
        entry = Entry(self.key, "thresher", "score", dtype,
                      lambda: self.thresher.score(self.folder, self.corpus, documents, dtype))
        if dtype != "f32":
            result = self.thresher.score(self.folder, self.corpus, CHECKED, dtype, "--per-token")
            entry.check(result, self.reference)
        return entry

    def peer_entry(self, peer, what, dtype, documents):
        path, settings = self.gguf(dtype), None if what == AS_IT_COMES else self.settings(peer, dtype)
        measure = peer.score_all if what == "all positions" else peer.perplexity
        entry = Entry(self.key, peer.name, what, dtype, lambda: measure(path, self.corpus, documents, settings))
        entry.settings = settings
        return entry

    def settings(self, peer, dtype):
        """The fastest for all positions, found once and kept; llama-perplexity, which computes the same, has them too."""
        kept = self.work / f"settings-{self.shape.name}-{peer.name}-{dtype}.json"
        if not kept.exists():
            best, tried = peer.tune(self.gguf(dtype), self.corpus, peer.repacks and dtype != "f32")
            for settings, rate in tried.items():
                print(f"  {self.key}, {peer.name}, {dtype}: {settings.text()}: {rate:,.1f} tokens/s", flush=True)
            kept.write_text(json.dumps(dataclasses.asdict(best)) + "\n")
        return Settings(**json.loads(kept.read_text()))


def ratios_of(entries):
    """The rounds' ratios of RATIOS, where both programs ran."""
    by_key = {(entry.shape, *entry.key): entry for entry in entries}
    found = []
    for shape, dtype, other, least in RATIOS:
        own, peer = by_key.get((shape, "thresher", "score", dtype)), by_key.get((shape, *other))
        if own and peer:
            rounds = [a / b for a, b in zip(own.rates, peer.rates)]
            found.append({"shape": shape, "dtype": dtype, "divided_by": list(other), "rounds": rounds,
                          "median": statistics.median(rounds), "least": least})
    return found


def spread(values, digits):
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"


def print_report(entries, report):
    """Tables in Markdown."""
    print("\nPeak: " + ", ".join(f"{dtype} {peak / 1e9:,.0f}" for dtype, peak in report["peak"].items()) +
          " GFLOP/s (int8: GOP/s)\n")
    print("| shape | program | format | tokens/s | rounds | share of peak | difference to f32 | settings |")
    print("|---|---|---|---|---|---|---|---|")
    for entry, numbers in zip(entries, report["programs"]):
        rate = numbers["median"]
        digits = 0 if rate > 1000 else 1
        program = "`thresher score`" if entry.program == "thresher" else f"{entry.program}, {entry.what}"
        products = f"products {100 * statistics.median(entry.products):.1f} % of the time" if entry.products else ""
        difference = "" if entry.difference is None else f"{entry.difference:.4f}"
        print(f"| {entry.shape} | {program} | {entry.dtype} | {rate:,.{digits}f} | {spread(entry.rates, digits)} | "
              f"{100 * numbers['peak_share']:.1f} % | {difference} | "
              f"{'`' + entry.settings.text() + '`' if entry.settings else products} |")
    print("\n| shape | `thresher score` in | divided by | ratio | rounds | at least |")
    print("|---|---|---|---|---|---|")
    for one in report["ratios"]:
        program, what, dtype = one["divided_by"]
        print(f"| {one['shape']} | {one['dtype']} | {program}, {what}, {dtype} | {one['median']:.2f} | "
              f"{spread(one['rounds'], 2)} | {one['least'] or ''} |")


def processor():
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else platform.machine()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("thresher", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    for name in ("--llama-cpp", "--ik-llama-cpp"):
        parser.add_argument(name, type=pathlib.Path, nargs=2, metavar=("SOURCE", "BUILD"))
    parser.add_argument("--models", default=",".join(SHAPES), help="of " + ",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documents", type=int, help=f"of each run, {CHECKED} at least [what takes 5 to 30 s]")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tune", action="store_true", help="find the peers' fastest settings anew")
    parser.add_argument("--json", type=pathlib.Path, help="all numbers, also those of each round")
    arguments = parser.parse_args()
    if unknown := set(arguments.models.split(",")) - set(SHAPES):
        parser.error(f"--models: {', '.join(sorted(unknown))} is none of {', '.join(SHAPES)}")
    if arguments.documents and arguments.documents < CHECKED:
        parser.error(f"--documents is {arguments.documents}, but {CHECKED} are compared")
    return arguments


def measure(entries, models, arguments):
    """Runs the rounds; the peaks that each found."""
    thresher = next(iter(models.values())).thresher
    dtypes = sorted({dtype.split()[0] for model in models.values() for dtype in model.shape.own})
    measured = []
    for number in range(arguments.rounds):
        measured.append(thresher.peaks(dtypes))
        for entry in entries if number % 2 == 0 else entries[::-1]:
            entry.time(models[entry.shape])
            print(f"  round {number + 1}: {entry.shape}, {', '.join(entry.key)}: {entry.rates[-1]:,.1f} tokens/s",
                  flush=True)
        if arguments.json:  # what there is, should a later round fail
            report = report_of(entries, models, measured, arguments.threads)
            arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return measured


def report_of(entries, models, measured, threads):
    peaks = {dtype: max(one[dtype] for one in measured) for dtype in measured[0]}
    programs = [entry.json(entry.peak_share(models[entry.shape], peaks)) for entry in entries]
    return {"processor": processor(), "threads": threads, "peak": peaks, "peaks": measured, "programs": programs,
            "ratios": ratios_of(entries)}


def main():
    arguments = parse_arguments()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    thresher = Thresher(arguments.thresher.resolve(), work, arguments.threads)
    builds = {"llama.cpp": arguments.llama_cpp, "ik_llama.cpp": arguments.ik_llama_cpp}
    peers = [Peer(name, *(path.resolve() for path in paths), work, arguments.threads)
             for name, paths in builds.items() if paths]
    for kept in work.glob("settings-*.json") if arguments.tune else []:
        kept.unlink()
    shapes = [SHAPES[key] for key in arguments.models.split(",")]
    if arguments.documents:
        shapes = [shape.with_documents(arguments.documents) for shape in shapes]
    models = {shape.key: Model(shape, thresher, peers, work) for shape in shapes}
    entries = [entry for model in models.values() for entry in model.entries()]
    measured = measure(entries, models, arguments)
    print_report(entries, report_of(entries, models, measured, arguments.threads))


if __name__ == "__main__":
    main()
