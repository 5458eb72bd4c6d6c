#!/usr/bin/env python3
"""head.py THRESHER: what the head needs beside its weights, for vocabularies of 32k, 128k and 256k.

Models of one layer differ in their vocabulary only. A run's GPU memory (most in use during it, less what was in use
before it) minus its weights, minus the same of a vocabulary of 1,024, is what the larger vocabulary costs beside its
weights. Prints a line of JSON last; exits with 1 over 512 MiB (--limit), 77 where the driver does not tell.
"""
import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nvml
import streams

SMALL = 1024
CONFIG = {'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_act': 'silu', 'num_hidden_layers': 1,
          'hidden_size': 2048, 'intermediate_size': 8192, 'num_attention_heads': 32, 'num_key_value_heads': 8,
          'head_dim': 64, 'max_position_embeddings': 131072, 'rms_norm_eps': 1e-5, 'rope_theta': 500000.0,
          'tie_word_embeddings': True, 'bos_token_id': 0, 'eos_token_id': 1, 'torch_dtype': 'bfloat16'}


def measure(arguments, gpu, vocabulary):
    folder = Path(arguments.models) / f'head-{vocabulary}'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = {**CONFIG, 'vocab_size': vocabulary}
    (folder / 'config.json').write_text(json.dumps(config), encoding='utf-8')
    model, run = folder / 'model', folder / 'run'
    subprocess.run([arguments.thresher, 'bench', '--shape', folder / 'config.json', '--make-model', model], check=True)
    streams.write_tokenizer(model, vocabulary)
    streams.make(folder, 'fixed', arguments.tokens, config)
    with nvml.Watch(gpu, 0.005) as watch:
        subprocess.run([arguments.thresher, 'score', '--model', model, '--corpus', folder / 'fixed.jsonl', '--output', run,
                        '--device', 'cuda', '--dtype', 'bf16', '--per-token', '--top-k', '10', '--tokens-per-batch', '16384'],
                       check=True, stdout=subprocess.DEVNULL)
    metrics = json.loads((run / 'run.json').read_text(encoding='utf-8'))['ranks'][0]['metrics']
    shutil.rmtree(folder)
    return {'vocabulary': vocabulary, 'grown': watch.grown(), 'weights': int(metrics['weight bytes'])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('thresher')
    parser.add_argument('--models', required=True)
    parser.add_argument('--tokens', type=int, default=65536)
    parser.add_argument('--limit', type=int, default=512, help='MiB')
    parser.add_argument('--vocabularies', default='32768,131072,262144')
    arguments = parser.parse_args()
    gpu = nvml.Gpu()
    if gpu.used() is None:
        print('the driver\'s library (libnvidia-ml.so.1) does not tell how much memory is in use')
        return 77
    least = measure(arguments, gpu, SMALL)
    rows, wrong = [], False
    for vocabulary in map(int, arguments.vocabularies.split(',')):
        row = measure(arguments, gpu, vocabulary)
        row['extra'] = (row['grown'] - row['weights']) - (least['grown'] - least['weights'])
        rows.append(row)
        too_much = row['extra'] > arguments.limit << 20
        wrong |= too_much
        print(f'head of {vocabulary}: {row["extra"] / 2**20:.0f} MiB beside its weights of '
              f'{row["weights"] / 2**20:.0f} MiB{" WRONG: over the limit" if too_much else ""}')
    print(json.dumps({'least': least, 'rows': rows, 'limit_mib': arguments.limit}))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
