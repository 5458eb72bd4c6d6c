#!/usr/bin/python3
"""What ranks that share a job reach of what the machine gives two independent processes.

usage: grid_efficiency.py THRESHER WORK_DIR [--rounds N] [--tokens N] [--shape config.json]

Makes a model of 16 layers with random weights and a token corpus of ragged lengths (lognormal). Each round times, one
after another and all single-threaded: one process over the whole corpus, two independent processes over half of it
each, and one job of two ranks as dp=2, pp=2 and tp=2. Prints medians, the ratio of each layout to the two independent
processes, and the shares of time that the ranks waited. Needs two idle cores, mpirun and python3-h5py.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

import h5py
import numpy

SHAPE = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 16, "hidden_size": 384,
         "intermediate_size": 1024, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 64,
         "vocab_size": 8192, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "hidden_act": "silu",
         "tie_word_embeddings": True, "dtype": "bfloat16"}


def write_corpus(path, lengths, vocabulary):
    random = numpy.random.default_rng(3)
    with h5py.File(path, "w") as file:
        file["doc/offsets"] = numpy.concatenate([[0], numpy.cumsum(lengths)]).astype(numpy.uint64)
        file["doc/tokens"] = random.integers(16, vocabulary, int(lengths.sum()), dtype=numpy.uint16)
        file["doc/bytes"] = lengths.astype(numpy.int64) * 3
        file["doc/words"] = lengths.astype(numpy.int64)


class Bench:
    def __init__(self, thresher, work):
        self.thresher, self.work = thresher, work

    def command(self, corpus, run, ranks, layout):
        words = [self.thresher, "score", "--model", self.work / "model", "--corpus", self.work / f"{corpus}.h5",
                 "--output", self.work / run, "--fresh", "--threads", "1", "--shard-documents", "4", "--layout", layout]
        return ["mpirun", "-n", str(ranks), *map(str, words)] if ranks > 1 else list(map(str, words))

    def summary(self, run):
        return json.loads((self.work / run / "summary.json").read_text())

    def time(self, corpus, layout, ranks):
        done = subprocess.run(self.command(corpus, layout, ranks, layout), check=True, capture_output=True, text=True)
        summary = self.summary(layout)
        waits = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith("stage ")]
        return summary["tokens_per_second"], summary["time_shares"], waits

    def time_independent(self):
        jobs = [subprocess.Popen(self.command(half, half, 1, "dp=1"), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) for half in ("even", "odd")]
        if any(job.wait() for job in jobs):
            raise SystemExit("an independent process failed")
        return sum(self.summary(half)["tokens_per_second"] for half in ("even", "odd"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("thresher", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--shape", type=pathlib.Path, help="another model's config.json")
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    shape = json.loads(arguments.shape.read_text()) if arguments.shape else SHAPE
    (work / "config.json").write_text(json.dumps(shape))
    if not (work / "model").exists():
        subprocess.run([arguments.thresher, "bench", "--make-model", work / "model", "--shape", work / "config.json",
                        "--dtype", "bf16"], check=True)
    random = numpy.random.default_rng(2)
    lengths = numpy.clip(random.lognormal(5.5, 0.8, arguments.tokens // 340), 8, 2000).astype(numpy.int64)
    for name, part in (("whole", lengths), ("even", lengths[::2]), ("odd", lengths[1::2])):
        write_corpus(work / f"{name}.h5", part, shape["vocab_size"])
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    bench = Bench(arguments.thresher, work)
    layouts = {"dp=1": 1, "dp=2": 2, "pp=2": 2, "tp=2": 2}
    rates = {name: [] for name in ("independent", *layouts)}
    last = {}
    for _ in range(arguments.rounds):
        rates["independent"].append(bench.time_independent())
        for layout, ranks in layouts.items():
            rate, *last[layout] = bench.time("whole", layout, ranks)
            rates[layout].append(rate)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"two independent processes: {medians['independent']:,.0f} tokens/s, "
          f"{medians['independent'] / medians['dp=1']:.2f} x one of {medians['dp=1']:,.0f}")
    for layout in ("dp=2", "pp=2", "tp=2"):
        ratio = statistics.median(rate / base for rate, base in zip(rates[layout], rates["independent"]))
        shares, waits = last[layout]
        print(f"{layout}: {medians[layout]:,.0f} tokens/s, {ratio:.3f} of the independent processes (median of rounds)")
        print("  shares of time: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items()
                                               if share > 0.0005))
        for line in waits:
            print("  " + line)


if __name__ == "__main__":
    main()
