#!/usr/bin/env python3
"""peers.py KIND MODEL STREAMS: a scorer in PyTorch that stays, takes commands on standard input and answers each with a
line of JSON. KIND is hf (transformers as users write it), hf-compiled or packed (see packed_scorer.py).

  reference STREAM FILE   Hugging Face's log-probabilities in f32 and bf16, one document at a time, as JSON to FILE
  prepare STREAM          scores it once: everything gets compiled and chosen
  measure STREAM          scores it again and says how long it took
"""
import argparse
import json
import os
import sys
import time
import traceback

import torch
import transformers

import nvml
import packed_scorer
import streams


def load_hugging_face(folder, dtype, device):
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation='sdpa')
    except TypeError:  # before transformers 4.56
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=dtype, attn_implementation='sdpa')
    return model.to(device).eval()


class HuggingFace:
    """Padded batches. As users write it: documents as they come, with a mask. Compiled: sorted by length, and without the
    mask, for padding behind a text changes nothing in front of it: the way that is best for it."""

    def __init__(self, folder, device, dtype, compiled, optimise):
        self.model, self.device, self.compiled = load_hugging_face(folder, dtype, device), device, compiled
        self.budget = 16384
        self.run = torch.compile(self._values) if compiled and optimise else self._values

    def _values(self, ids, mask=None):
        logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        return torch.log_softmax(logits[:, :-1].float(), -1).gather(-1, ids[:, 1:, None]).squeeze(-1)

    def batches(self, documents):
        order = list(range(len(documents)))
        if self.compiled:
            order.sort(key=lambda i: len(documents[i]))
        batch, longest = [], 0
        for number in order:
            grown = max(longest, self._padded(len(documents[number])))
            if batch and (grown * (len(batch) + 1) > self.budget or (not self.compiled and len(batch) == 8)):
                yield batch, longest
                batch, grown = [], self._padded(len(documents[number]))
            batch.append(number)
            longest = grown
        if batch:
            yield batch, longest

    def _padded(self, length):
        return (length + 63) // 64 * 64 if self.compiled else length

    @torch.inference_mode()
    def score(self, documents):
        result, pending = [None] * len(documents), []
        for batch, longest in self.batches(documents):
            ids = torch.zeros(len(batch), longest, dtype=torch.int64)
            mask = torch.zeros_like(ids)
            for row, number in enumerate(batch):
                ids[row, :len(documents[number])] = documents[number]
                mask[row, :len(documents[number])] = 1
            if self.compiled:
                ids = ids.pin_memory() if self.device.type == 'cuda' else ids
                pending.append((batch, self.run(ids.to(self.device, non_blocking=True))))
            else:
                pending.append((batch, self.run(ids.to(self.device), mask.to(self.device)).cpu()))
        for batch, values in pending:
            values = values.cpu()
            for row, number in enumerate(batch):
                result[number] = values[row, :len(documents[number]) - 1]
        return result


class Worker:
    def __init__(self, arguments):
        self.arguments = arguments
        self.device = torch.device(arguments.device)
        self.gpu = nvml.Gpu() if self.device.type == 'cuda' else None
        self.scorer = None
        self.documents = {}

    def load(self):
        begin = time.perf_counter()
        optimise = not self.arguments.no_compile
        if self.arguments.kind == 'packed':
            self.scorer = packed_scorer.PackedScorer(self.arguments.model, self.device, torch.bfloat16, optimise)
        else:
            self.scorer = HuggingFace(self.arguments.model, self.device, torch.bfloat16,
                                      self.arguments.kind == 'hf-compiled', optimise)
        self.wait()
        return {'load_seconds': time.perf_counter() - begin}

    def wait(self):
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def stream(self, name):
        if name not in self.documents:
            self.documents[name] = [torch.tensor(ids) for ids in streams.read(self.arguments.streams, name)]
        return self.documents[name]

    def reference(self, name, file):
        """Of f32 and bf16, with no document beside another."""
        found = {}
        for label, dtype in (('f32', torch.float32), ('bf16', torch.bfloat16)):
            model = load_hugging_face(self.arguments.model, dtype, self.device)
            values = []
            with torch.inference_mode():
                for document in self.stream(name):
                    ids = document[None].to(self.device)
                    logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
                    values.append(torch.log_softmax(logits, -1).gather(-1, ids[0, 1:, None])[:, 0].cpu().tolist())
            found[label] = [[round(value, 5) for value in row] for row in values]
            del model
        made = f'torch {torch.__version__}, transformers {transformers.__version__}, {self.device_name()}'
        with open(file, 'w', encoding='utf-8') as out:
            json.dump({'made_with': made, 'ids': [ids.tolist() for ids in self.stream(name)], **found}, out, separators=(',', ':'))
        return {'made_with': made}

    def device_name(self):
        return torch.cuda.get_device_name() if self.device.type == 'cuda' else 'cpu'

    def prepare(self, name):
        result = {} if self.scorer else self.load()
        begin = time.perf_counter()
        documents = self.stream(name)
        while True:
            try:
                self.scorer.score(documents)
                break
            except torch.cuda.OutOfMemoryError:
                if self.scorer.budget <= 1024:
                    raise
                self.scorer.budget //= 2
                torch.cuda.empty_cache()
        self.wait()
        return {**result, 'prepare_seconds': time.perf_counter() - begin, 'tokens_per_batch': self.scorer.budget,
                'attention': getattr(self.scorer, 'attention_name', 'sdpa'), 'torch': torch.__version__,
                'transformers': transformers.__version__, 'device': self.device_name()}

    def measure(self, name):
        documents = self.stream(name)
        cuda = self.device.type == 'cuda'
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        self.wait()
        energy = self.gpu.joules() if self.gpu else None
        begin = time.perf_counter()
        values = self.scorer.score(documents)
        self.wait()
        seconds = time.perf_counter() - begin
        result = {'seconds': seconds, 'tokens': sum(map(len, documents)), 'scored': sum(map(len, values)),
                  'logprob': float(torch.cat(values).double().sum())}
        if energy is not None:
            result['joules'] = self.gpu.joules() - energy
        if cuda:
            result['peak_gpu_bytes'] = torch.cuda.max_memory_allocated()
            torch.cuda.empty_cache()
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=('hf', 'hf-compiled', 'packed'))
    parser.add_argument('model')
    parser.add_argument('streams')
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--no-compile', action='store_true', help='for tests')
    arguments = parser.parse_args()
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what libraries print is no answer
    transformers.logging.set_verbosity_error()
    worker = Worker(arguments)
    commands = {'reference': worker.reference, 'prepare': worker.prepare, 'measure': worker.measure}
    for line in sys.stdin:
        name, *words = line.split()
        try:
            answer = commands[name](*words)
        except Exception as error:  # one thing that fails leaves the others their say
            traceback.print_exc()
            answer = {'error': f'{type(error).__name__}: {error}'[:500]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
    main()
