"""Compare reference.py, and the kept fixtures, with Hugging Face transformers on every model of tests/fixtures/scores.

    python check_against_transformers.py [--shared DIR] [--only NAME ...]

Two ways: "f64" runs transformers in float64 with the three steps that it computes in float32 whatever the model's
dtype (rotary embedding, RMSNorm, softmax) lifted to float64 too; "f32" runs it as it is, in float32. Prints the largest
differences and fails where the f64 ones exceed 1e-9 in a logit or 1e-7 in a kept value.

transformers' dynamic scaling keeps the frequencies of the longest sequence seen so far; here each pass starts afresh.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import unittest.mock

import numpy
import torch
from transformers import AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import reference

PROJECT = pathlib.Path(__file__).resolve().parents[2]
LOGIT_LIMIT, KEPT_LIMIT = 1e-9, 1e-7


def doubled():
    """Within it, code that asks torch for float32 gets float64."""
    stack = contextlib.ExitStack()
    for name in ("float", "float32"):
        stack.enter_context(unittest.mock.patch.object(torch, name, torch.float64))
    return stack


class DoubleRotary(torch.nn.Module):
    """transformers' own frequency formulas, evaluated in float64."""

    def __init__(self, config):
        super().__init__()
        self.config = config

    def forward(self, x, position_ids):
        kind = self.config.rope_parameters["rope_type"]
        if kind == "default":
            width = getattr(self.config, "head_dim", None) or x.shape[-1] // self.config.num_attention_heads
            exponent = torch.arange(0, width, 2, dtype=torch.float64) / width
            frequency, scale = self.config.rope_parameters["rope_theta"] ** -exponent, 1.0
        else:
            length = int(position_ids.max()) + 1
            frequency, scale = ROPE_INIT_FUNCTIONS[kind](self.config, "cpu", seq_len=length)
        angle = position_ids[..., None].double() * frequency.double()
        angle = torch.cat([angle, angle], -1)
        return angle.cos() * scale, angle.sin() * scale


@torch.no_grad()
def logits(model, tokens):
    rotary = model.model.rotary_emb
    if hasattr(rotary, "max_seq_len_cached"):
        rotary.max_seq_len_cached = 0
    with doubled() if isinstance(rotary, DoubleRotary) else contextlib.nullcontext():
        return model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].double().numpy()


def load(folder, dtype):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    if dtype == torch.float64:
        model.model.rotary_emb = DoubleRotary(model.config)
    return model


def differences(model, ours, cases):
    """Largest |difference| in logits, kept logprob, kept entropy, and the number of differing ranks."""
    worst, ranks = {"logit": 0.0, "logprob": 0.0, "entropy": 0.0}, 0
    for case in cases:
        for row in case["documents"]:
            prefix, tokens, done = row["prefix"], row["tokens"], 0
            for begin, first, end in reference.passes(len(tokens) - prefix, prefix, case["window"], case["stride"]):
                content = tokens[:prefix] + tokens[prefix + begin:prefix + end]
                table = logits(model, content)
                at = numpy.arange(first - begin + prefix, end - begin + prefix)
                scores = reference.score_rows(table[at - 1], numpy.array(content)[at])
                kept = slice(done, done + len(at))
                done += len(at)
                worst["logit"] = max(worst["logit"], abs(table - ours.logits(content)).max())
                for name in ("logprob", "entropy"):
                    worst[name] = max(worst[name], abs(getattr(scores, name) - row[name][kept]).max())
                ranks += int((scores.rank != row["rank"][kept]).sum())
            assert done == len(row["logprob"])
    return worst, ranks


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--shared", type=pathlib.Path)
    arguments.add_argument("--only", nargs="*")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    failed = False
    print(f"{'model':18} {'dtype':5} {'logit':>9} {'logprob':>9} {'entropy':>9} {'ranks':>5}")
    for path in sorted((PROJECT / "tests/fixtures/scores").glob("*.json")):
        kept = json.loads(path.read_text())
        if kept["model"].startswith("shared/"):
            if not options.shared:
                print(f"{path.stem:18} left out: --shared is not given")
                continue
            folder = options.shared / kept["model"].removeprefix("shared/")
        else:
            folder = PROJECT / kept["model"]
        if options.only and path.stem not in options.only:
            continue
        ours = reference.Model(folder)
        for dtype, label in ((torch.float64, "f64"), (torch.float32, "f32")):
            worst, ranks = differences(load(folder, dtype), ours, kept["cases"])
            print(f"{path.stem:18} {label:5} {worst['logit']:9.1e} {worst['logprob']:9.1e} {worst['entropy']:9.1e} "
                  f"{ranks:5}", flush=True)
            if label == "f64" and (worst["logit"] > LOGIT_LIMIT or worst["logprob"] > KEPT_LIMIT
                                   or worst["entropy"] > KEPT_LIMIT or ranks):
                failed = True
    sys.exit("transformers and the reference differ" if failed else 0)


if __name__ == "__main__":
    main()
