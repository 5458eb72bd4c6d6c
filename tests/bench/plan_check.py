#!/usr/bin/python3
"""What `thresher plan` predicts beside what `thresher score` does, for several layouts on this machine.

usage: plan_check.py THRESHER WORK_DIR [--layouts 1x1x1,2x1x1,...] [--tokens N] [--rounds N] [--threads N]

Makes an 8-layer model with random weights and a corpus of token ids with lengths as web texts have them; scores it on
each layout (dp x pp x tp), and prints measured and planned tokens/s (of all rounds the fastest of each: whatever else the
machine does only takes away) and peak memory (of the rank where they differ most). The plan is made between the runs, so
that both see the same machine. Needs python3-h5py; run it with jobs/mpi-env.sh sourced. Exits with 1 if memory is off by
more than 10 % or speed by more than 20 %.
"""
import argparse
import json
import pathlib
import shlex
import subprocess
import sys

import h5py
import numpy

SHAPE = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "torch_dtype": "bfloat16",
         "num_hidden_layers": 8, "hidden_size": 512, "intermediate_size": 1408, "num_attention_heads": 8,
         "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 8192, "max_position_embeddings": 1024,
         "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True}


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def write_corpus(path, tokens, vocabulary):
    random = numpy.random.default_rng(1)
    lengths = numpy.clip(random.lognormal(5, 0.8, tokens // 100), 8, 1000).astype(numpy.int64)
    lengths = lengths[: int(numpy.searchsorted(numpy.cumsum(lengths), tokens))]
    offsets = numpy.concatenate([[0], numpy.cumsum(lengths)]).astype(numpy.uint64)
    with h5py.File(path, "w") as file:
        file["doc/offsets"] = offsets
        file["doc/tokens"] = random.integers(16, vocabulary, int(offsets[-1]), dtype=numpy.uint16)
        file["doc/bytes"] = lengths * 4
        file["doc/words"] = lengths


def score(arguments, layout, model, corpus):
    data, stages, shards = layout
    ranks = data * stages * shards
    out = arguments.work / "run"
    command = [arguments.thresher, "score", "--model", model, "--corpus", corpus, "--output", out, "--fresh",
               "--shard-documents", arguments.shard_documents, "--layout", f"dp={data},pp={stages},tp={shards}"]
    if ranks > 1:
        command = ["mpirun", "-n", ranks, *command]
    run(command)
    summary = json.loads((out / "summary.json").read_text())
    report = json.loads((out / "run.json").read_text())
    return summary["tokens_per_second"], [rank["metrics"]["peak memory"] for rank in report["ranks"]]


def plan(arguments, layout, model, corpus):
    data, stages, shards = layout
    out = json.loads(run([arguments.thresher, "plan", "--model", model, "--corpus", corpus, "--ranks",
                          data * stages * shards, "--json", "--shard-documents", arguments.shard_documents,
                          "--seconds", arguments.seconds]))
    one = next(one for one in out["layouts"] if (one["dp"], one["pp"], one["tp"]) == layout)
    memories = [shard["total"] - (shard["gather"] if replica > 0 else 0)
                for replica in range(data) for stage in one["stages"] for shard in stage["shards"]]
    return one["tokens_per_second"], memories


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("thresher", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--layouts", default="1x1x1,2x1x1,1x2x1,1x1x2,2x2x1,1x2x2")
    parser.add_argument("--tokens", type=int, default=150_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--shard-documents", type=int, default=16)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    model, corpus, shape = (arguments.work / name for name in ("model", "corpus.h5", "shape/config.json"))
    if not model.exists():
        shape.parent.mkdir(exist_ok=True)
        shape.write_text(json.dumps(SHAPE))
        run([arguments.thresher, "bench", "--shape", shape, "--make-model", model])
    write_corpus(corpus, arguments.tokens, SHAPE["vocab_size"])
    layouts = [tuple(map(int, text.split("x"))) for text in arguments.layouts.split(",")]

    rates, planned = ({layout: [] for layout in layouts} for _ in range(2))
    memory = {}
    for _ in range(arguments.rounds):
        for layout in layouts:  # in turn, so that a drifting machine hits all alike
            rate, expected = plan(arguments, layout, model, corpus)
            planned[layout].append(rate)
            rate, measured = score(arguments, layout, model, corpus)
            rates[layout].append(rate)
            memory[layout] = max(zip(measured, expected), key=lambda pair: abs(pair[1] / pair[0] - 1))
    print(f"{'dp x pp x tp':<14}{'tokens/s':>10}{'planned':>10}{'ratio':>8}{'peak MiB':>11}{'planned':>10}{'ratio':>8}")
    good = True
    for layout in layouts:
        rate, expected = max(rates[layout]), max(planned[layout])
        peak, foreseen = memory[layout]
        good &= abs(expected / rate - 1) < 0.2 and abs(foreseen / peak - 1) < 0.1
        print(f"{'x'.join(map(str, layout)):<14}{rate:>10.0f}{expected:>10.0f}{expected / rate:>8.2f}"
              f"{peak / 2**20:>11.1f}{foreseen / 2**20:>10.1f}{foreseen / peak:>8.2f}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
