"""Documents of tokens.npz as rows of at most POSITIONS tokens, each starting with BOS, and batches of such rows."""

import numpy
import torch

POSITIONS = 512
BOS, EOS = 0, 1
IGNORED = -100


def load(path, held_out):
    """Token arrays of the training or of the held-out documents, with the index of their source and their bytes."""
    data = numpy.load(path)
    tokens, offsets = data["tokens"], data["offsets"]
    chosen = numpy.flatnonzero(data["held_out"] == held_out)
    documents = [tokens[offsets[k]:offsets[k + 1]].astype(numpy.int64) for k in chosen]
    return documents, data["source"][chosen], data["bytes"][chosen], [str(name) for name in data["names"]]


def cut(documents):
    """Rows of BOS, up to POSITIONS - 1 tokens and, where the document ends and there is room, EOS."""
    rows = []
    for document in documents:
        for start in range(0, len(document), POSITIONS - 1):
            piece = document[start:start + POSITIONS - 1]
            end = [EOS] if start + len(piece) == len(document) and len(piece) < POSITIONS - 1 else []
            rows.append(numpy.array([BOS, *piece, *end], dtype=numpy.int64))
    return rows


def epoch_batches(rows, tokens_per_batch, generator):
    """Batches of rows of similar length; order and company change with every epoch."""
    order = generator.permutation(len(rows))
    batches = []
    for pool_start in range(0, len(order), 2048):
        pool = sorted(order[pool_start:pool_start + 2048], key=lambda row: (len(rows[row]), row))
        batch = []
        for row in pool:
            if batch and (len(batch) + 1) * len(rows[row]) > tokens_per_batch:
                batches.append(batch)
                batch = []
            batch.append(row)
        batches.append(batch)
    return [batches[k] for k in generator.permutation(len(batches))]


def tensors(rows, batch):
    """Input ids [rows, length] and next-token targets; what follows a row's end is EOS with its target ignored."""
    length = max(len(rows[row]) for row in batch) - 1
    inputs = torch.full((len(batch), length), EOS)
    targets = torch.full((len(batch), length), IGNORED)
    for k, row in enumerate(batch):
        ids = torch.from_numpy(rows[row])
        inputs[k, :len(ids) - 1] = ids[:-1]
        targets[k, :len(ids) - 1] = ids[1:]
    return inputs, targets
