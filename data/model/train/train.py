"""Train the model in data/model on WORK/tokens.npz (see prepare.py).

    python train.py --work WORK --steps 4000 --decay 1000 --threads 1

The learning rate rises for 200 steps, stays, and falls to zero over the last --decay steps. Every 250 steps the state
is kept in WORK/state-STEP.pt; --resume goes on from there with the same steps as an undisturbed run: the batches of
step k depend on the seed and on k alone. So a run may be given its length while it is under way.
"""

import argparse
import itertools
import json
import pathlib
import time

import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import rows as data

WARMUP = 200
KEEP_EVERY = 250
SEED = 20240711

SHAPE = dict(
    vocab_size=3072, hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=8,
    num_key_value_heads=4, head_dim=32, max_position_embeddings=data.POSITIONS, rms_norm_eps=1e-5,
    tie_word_embeddings=True, bos_token_id=data.BOS, eos_token_id=data.EOS, pad_token_id=None, initializer_range=0.03)


def loss_of(model, inputs, targets, reduction="mean"):
    """Cross entropy in float32; the matrix products run in bfloat16."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=inputs, use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=data.IGNORED, reduction=reduction)


@torch.no_grad()
def held_out_loss(model, rows, batches):
    total, count = 0.0, 0
    for batch in batches:
        inputs, targets = data.tensors(rows, batch)
        total += loss_of(model, inputs, targets, "sum").item()
        count += int((targets != data.IGNORED).sum())
    return total / count


def batches_from(rows, tokens_per_batch, first_step):
    """The batch of every step from first_step on."""
    step = 0
    for epoch in itertools.count():
        for batch in data.epoch_batches(rows, tokens_per_batch, numpy.random.default_rng([SEED, epoch])):
            if step >= first_step:
                yield batch
            step += 1


def rate(step, options):
    fall = (options.steps - step) / options.decay if options.decay else 1.0
    return options.rate * min(1.0, (step + 1) / WARMUP, fall)


def optimizer_of(model, options):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() != 2]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                             lr=options.rate, betas=(0.9, 0.95), eps=1e-8)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--work", type=pathlib.Path, required=True)
    arguments.add_argument("--steps", type=int, required=True)
    arguments.add_argument("--decay", type=int, default=0, help="0: never fall (a run whose length comes later)")
    arguments.add_argument("--rate", type=float, default=3e-3)
    arguments.add_argument("--tokens-per-batch", type=int, default=4096)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--resume", type=pathlib.Path)
    options = arguments.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    rows = data.cut(data.load(options.work / "tokens.npz", False)[0])
    held_rows = data.cut(data.load(options.work / "tokens.npz", True)[0])
    held_batches = data.epoch_batches(held_rows, 4096, numpy.random.default_rng(SEED))[:10]
    model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    optimizer = optimizer_of(model, options)
    step, seen = 0, 0
    if options.resume:
        state = torch.load(options.resume, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, seen = state["step"], state["seen"]

    began, running = time.time(), []
    for batch in itertools.islice(batches_from(rows, options.tokens_per_batch, step), options.steps - step):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, options)
        inputs, targets = data.tensors(rows, batch)
        loss = loss_of(model, inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step, seen = step + 1, seen + int((targets != data.IGNORED).sum())
        running.append(loss.item())
        if step % KEEP_EVERY == 0 or step == options.steps:
            line = {"step": step, "tokens": seen, "loss": round(float(numpy.mean(running)), 4),
                    "held_out_loss": round(held_out_loss(model, held_rows, held_batches), 4),
                    "rate": rate(step - 1, options), "seconds": round(time.time() - began, 1)}
            print(json.dumps(line), flush=True)
            running = []
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seen": seen},
                       options.work / f"state-{step}.pt")


if __name__ == "__main__":
    main()
