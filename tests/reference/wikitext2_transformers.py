"""The perplexities of wikitext2.py once more, with Hugging Face transformers and torch in float32.

    python wikitext2.py --text wiki.valid.tokens --inputs DIR
    python wikitext2_transformers.py --inputs DIR --shared DIR

Nothing is shared with reference.py: AutoModelForCausalLM, AutoTokenizer's file through PreTrainedTokenizerFast, and the
sliding window as the transformers documentation's perplexity page builds it (targets of -100 are context only).
Prints each figure with its relative difference to tests/fixtures/wikitext2.json and fails above 1e-5.
"""

import argparse
import json
import math
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

PROJECT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-5


@torch.no_grad()
def document(model, tokenizer, text, window, stride):
    """(tokens scored, sum of their log-probabilities)"""
    ids = tokenizer(text, return_tensors="pt", verbose=False).input_ids[0]
    has_bos = tokenizer("", return_tensors="pt").input_ids.shape[1] == 1
    prefix, content = (ids[:1], ids[1:]) if has_bos else (ids[:0], ids)
    room = window - len(prefix)
    scored_until, count, total = 0, 0, 0.0
    while scored_until < len(content):
        end = min(len(content), scored_until + (stride if scored_until else room))
        begin = max(0, end - room)
        row = torch.cat([prefix, content[begin:end]])
        targets = row.clone()
        targets[:len(prefix) + scored_until - begin] = -100
        targets[0] = -100
        logits = model(input_ids=row[None], use_cache=False).logits[0].double()
        total -= torch.nn.functional.cross_entropy(logits[:-1], targets[1:], ignore_index=-100, reduction="sum").item()
        count += int((targets != -100).sum())
        scored_until = end
    return count, total


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--inputs", type=pathlib.Path, required=True)
    arguments.add_argument("--shared", type=pathlib.Path, required=True)
    arguments.add_argument("--only", nargs="*")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    with open(options.inputs / "articles.jsonl") as file:
        articles = [json.loads(line)["text"] for line in file]
    inputs = {"articles": articles, "stream": [(options.inputs / "stream.txt").read_bytes().decode()]}
    failed = False
    for label, kept in json.loads((PROJECT / "tests/fixtures/wikitext2.json").read_text())["models"].items():
        if options.only and label not in options.only:
            continue
        shared = label.startswith("shared/")
        folder = options.shared / label.removeprefix("shared/") if shared else PROJECT / label
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        for name, texts in inputs.items():
            counts, sums = zip(*(document(model, tokenizer, text, kept["window"], kept["stride"]) for text in texts))
            perplexity = math.exp(-math.fsum(sums) / sum(counts))
            difference = perplexity / kept[name]["token_perplexity"] - 1
            print(f"{label} {name}: {sum(counts)} tokens, token perplexity {perplexity:.7f}, "
                  f"relative difference {difference:+.1e}", flush=True)
            failed |= abs(difference) > LIMIT or sum(counts) != kept[name]["tokens"]
    sys.exit("transformers and the reference differ" if failed else 0)


if __name__ == "__main__":
    main()
