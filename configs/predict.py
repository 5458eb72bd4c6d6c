#!/usr/bin/env python3
"""The tables of predictions in configs/README.md: predict.py THRESHER.

For each model and number of GPUs the best layout that `thresher plan --simulate` finds for a corpus of 10^9 documents of
2,048 tokens, on nodes as in h100x8.json; then the same for CPU nodes as in cpu-cluster.json.
"""
import json
import pathlib
import subprocess
import sys

CONFIGS = pathlib.Path(__file__).resolve().parent
DOCUMENTS, LENGTH = 10**9, 2048


def plan(thresher, model, machine, nodes, *more):
    command = [thresher, "plan", "--model", CONFIGS / "models" / f"llama-{model}.json", "--machine", CONFIGS / machine,
               "--documents", DOCUMENTS, "--mean-tokens", LENGTH, "--nodes", nodes, "--simulate", "--json", *more]
    return json.loads(subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout)


def row(model, ranks, out):
    best = out["layouts"][0]
    if not best["fits"]:
        return f"| {model.upper()} | {ranks:,} | none: {best['reason']} | | | | | | | | |"
    rate, simulation = best["tokens_per_second"], out["simulation"]
    return (f"| {model.upper()} | {ranks:,} | {best['layout']} | {rate:,.0f} | {rate / ranks:,.0f} | "
            f"{best['rank_memory'] / 2**30:.1f} | {1e12 / rate / 3600:,.1f} | "
            f"{best['joules'] / (DOCUMENTS * LENGTH) * 1e3:.1f} | {simulation['requests_per_second']:.3f} | "
            f"{simulation['gather_bytes_per_second'] / 1e6:.3f} | {100 * (1 - simulation['busy']):.2f} |")


def table(thresher, machine, devices, unit, nodes_of):
    print(f"| model | {unit} | layout | tokens/s | per {unit[:-1]} | GiB a rank | hours for 10^12 tokens | mJ a token | "
          "leases/s | MB/s to rank 0 | % idle |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for model, nodes in nodes_of:
        print(row(model, nodes * devices, plan(thresher, model, machine, nodes)), flush=True)


def main():
    thresher = sys.argv[1]
    models = ("1b", "8b", "70b", "405b")
    table(thresher, "h100x8.json", 8, "GPUs", [(model, nodes) for model in models for nodes in (1, 8, 64, 512)])
    print()
    table(thresher, "cpu-cluster.json", 2, "sockets", [(model, 1000) for model in models])


if __name__ == "__main__":
    main()
