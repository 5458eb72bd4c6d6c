"""Held-out loss of the exported model against a unigram model with the same tokenizer.

    python evaluate.py --work WORK --model data/model

Both are asked for the same tokens: those of the held-out documents' text (BOS and EOS are not scored). The model sees
rows of at most 512 tokens without overlap, in float32 with the exported weights. The unigram model counts the
training documents' tokens, plus one for every token of the vocabulary.
"""

import argparse
import pathlib

import numpy
import torch
from transformers import AutoModelForCausalLM

import rows as data


def unigram(documents, vocabulary):
    counts = numpy.bincount(numpy.concatenate(documents), minlength=vocabulary) + 1.0
    return numpy.log(counts / counts.sum())


@torch.no_grad()
def document_logprob(model, document):
    """Sum of the log-probabilities of the document's tokens."""
    total = 0.0
    for row in data.cut([document]):
        ids = torch.from_numpy(row)[None]
        table = model(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)
        picked = table[:-1].gather(1, ids[0, 1:, None])[:, 0]
        total += picked[ids[0, 1:] != data.EOS].sum().item()
    return total


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--work", type=pathlib.Path, required=True)
    arguments.add_argument("--model", type=pathlib.Path, required=True)
    options = arguments.parse_args()

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    table = unigram(data.load(options.work / "tokens.npz", False)[0], model.config.vocab_size)
    documents, sources, sizes, names = data.load(options.work / "tokens.npz", True)
    tokens = numpy.array([len(document) for document in documents])
    ours = numpy.array([document_logprob(model, document) for document in documents])
    theirs = numpy.array([table[document].sum() for document in documents])

    print(f"{'source':20} {'documents':>9} {'tokens':>8} {'unigram':>8} {'model':>8} {'better by':>9} {'bits/byte':>9}")
    for k, name in [*enumerate(names), (None, "all")]:
        chosen = sources == k if k is not None else numpy.ones(len(tokens), bool)
        if chosen.any():
            count = tokens[chosen].sum()
            base, loss = -theirs[chosen].sum() / count, -ours[chosen].sum() / count
            print(f"{name:20} {chosen.sum():9} {count:8} {base:8.4f} {loss:8.4f} {base - loss:9.4f} "
                  f"{-ours[chosen].sum() / numpy.log(2) / sizes[chosen].sum():9.4f}")


if __name__ == "__main__":
    main()
