"""WikiText-2 validation text as inputs for Thresher, and its perplexity in double precision.

    python wikitext2.py --text wiki.valid.tokens --inputs DIR               writes DIR/articles.jsonl, DIR/stream.txt
    python wikitext2.py --text wiki.valid.tokens --shared DIR [--only ...]  writes tests/fixtures/wikitext2.json

An article begins at its heading " = Title = " and ends before the next one; articles.jsonl holds one article a line as
{"id": title, "text": text}. stream.txt is the file as it is, to be scored as one document. Nothing is stripped; the
empty line before the first heading belongs to the stream alone. Window and stride are the defaults (the model's
positions, half of them); tokens come from tokenizer.json with its own post-processor.
"""

import argparse
import hashlib
import json
import math
import pathlib

from tokenizers import Tokenizer

import reference
from wikitext2_text import articles

PROJECT = pathlib.Path(__file__).resolve().parents[2]
RESULT = PROJECT / "tests/fixtures/wikitext2.json"
MODELS = ("data/model", "shared/data/tinystories656K", "shared/data/stories260K-hf")


def write_inputs(text, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stream.txt").write_text(text, newline="")
    with open(folder / "articles.jsonl", "w", newline="") as file:
        for title, article in articles(text):
            file.write(json.dumps({"id": title, "text": article}, ensure_ascii=False) + "\n")


def encode(tokenizer, text):
    """(tokens with their prefix, length of the prefix)"""
    tokens = tokenizer.encode(text).ids
    return tokens, len(tokens) - len(tokenizer.encode(text, add_special_tokens=False).ids)


def total(model, tokenizer, texts):
    rows = []
    for text in texts:
        scores = model.scores(*encode(tokenizer, text))
        rows.append({"tokens": len(scores.logprob), "logprob": math.fsum(scores.logprob)})
    tokens, logprob = sum(row["tokens"] for row in rows), math.fsum(row["logprob"] for row in rows)
    return {"tokens": tokens, "logprob": logprob, "token_perplexity": math.exp(-logprob / tokens), "documents": rows}


def folder_of(label, shared):
    return shared / label.removeprefix("shared/") if label.startswith("shared/") else PROJECT / label


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--text", type=pathlib.Path, required=True)
    arguments.add_argument("--inputs", type=pathlib.Path)
    arguments.add_argument("--shared", type=pathlib.Path)
    arguments.add_argument("--only", nargs="*", default=MODELS)
    options = arguments.parse_args()
    data = options.text.read_bytes()
    text = data.decode()
    if options.inputs:
        write_inputs(text, options.inputs)
    if not options.shared:
        return
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {"models": {}}
    result["text_sha256"] = hashlib.sha256(data).hexdigest()
    for label in options.only:
        folder = folder_of(label, options.shared)
        model, tokenizer = reference.Model(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
        entry = {"window": model.positions, "stride": model.positions // 2}
        for name, texts in (("articles", [article for _, article in articles(text)]), ("stream", [text])):
            entry[name] = total(model, tokenizer, texts)
            print(f"{label} {name}: {entry[name]['tokens']} tokens, logprob {entry[name]['logprob']:.6f}, "
                  f"token perplexity {entry[name]['token_perplexity']:.9f}", flush=True)
        result["models"][label] = entry
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
