#!/usr/bin/env python3
"""gate.py THRESHER MODEL REFERENCE: are our log-probabilities right, before anything is measured?

REFERENCE holds documents with Hugging Face's numbers in f32 and bf16 (peers.py, `reference`; reference.py). Ours in bf16
have to be nearer to the f32 ones than Hugging Face's bf16 is, in the mean and in the mean square; ours in f32 as near as
f32 can be. Exits with 1 where they are not, and prints a line of JSON last.
"""
import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import streams

# f32 against f32, of any token and in the mean, as tests/gpu/compare.py allows.
F32_MOST, F32_MEAN = 2e-3, 2e-4


def score(thresher, model, corpus, output, dtype, device):
    run = Path(output) / f'{corpus.stem}-{dtype}'
    subprocess.run([thresher, 'score', '--model', model, '--corpus', corpus, '--output', run, '--fresh',
                    '--per-token', '--dtype', dtype, '--device', device], check=True, stdout=subprocess.DEVNULL)
    text = subprocess.run([thresher, 'export', run, '--to', 'jsonl'], check=True, capture_output=True, text=True).stdout
    return [json.loads(line)['token'] for line in text.splitlines()]


def distance(ours, theirs):
    differences = [abs(a - b) if a is not None and math.isfinite(a) else math.inf
                   for row, other in zip(ours, theirs) for a, b in zip(row, other)]
    count = len(differences)
    return {'tokens': count, 'mean': sum(differences) / count, 'most': max(differences),
            'rms': math.sqrt(sum(d * d for d in differences) / count)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('thresher')
    parser.add_argument('model')
    parser.add_argument('reference')
    parser.add_argument('--output', required=True)
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--dtypes', default='f32,bf16')
    parser.add_argument('--documents', type=int, default=100000, help='the first of the reference')
    parser.add_argument('--words', action='store_true', help='the model is random: its tokens get words of their own')
    arguments = parser.parse_args()
    if arguments.words:
        config = json.loads((Path(arguments.model) / 'config.json').read_text(encoding='utf-8'))
        streams.write_tokenizer(arguments.model, config['vocab_size'])
    reference = json.loads(Path(arguments.reference).read_text(encoding='utf-8'))
    for name in ('ids', 'texts', 'f32', 'bf16'):
        if name in reference:
            reference[name] = reference[name][:arguments.documents]
    corpus = f'gate-{Path(arguments.reference).stem}'
    streams.write(arguments.output, corpus, reference['ids'], reference.get('texts'))
    found = {'made_with': reference['made_with'], 'hf bf16': distance(reference['bf16'], reference['f32'])}
    wrong = []
    for dtype in arguments.dtypes.split(','):
        tokens = score(arguments.thresher, arguments.model, Path(arguments.output) / f'{corpus}.jsonl', arguments.output,
                       dtype, arguments.device)
        rows = [token['logprob'] for token in tokens]
        if [len(row) for row in rows] != [len(row) for row in reference['f32']]:
            wrong.append(f'{dtype}: {sum(map(len, rows))} tokens in {len(rows)} documents, the reference has '
                         f'{sum(map(len, reference["f32"]))} in {len(reference["f32"])}')
            continue
        if [token['id'] for token in tokens] != [document[1:] for document in reference['ids']]:
            wrong.append(f'{dtype}: other tokens than the reference')
            continue
        ours = found[f'ours {dtype}'] = distance(rows, reference['f32'])
        if dtype == 'f32' and not (ours['most'] <= F32_MOST and ours['mean'] <= F32_MEAN):
            wrong.append(f'f32 differs by {ours["mean"]:.2e} in the mean, {ours["most"]:.2e} at most; allowed are '
                         f'{F32_MEAN:.0e} and {F32_MOST:.0e}')
        theirs = found['hf bf16']
        if dtype == 'bf16' and not (ours['mean'] < theirs['mean'] and ours['rms'] < theirs['rms']):
            wrong.append(f'bf16 is not nearer to f32 than Hugging Face\'s: mean {ours["mean"]:.2e} against '
                         f'{theirs["mean"]:.2e}, root mean square {ours["rms"]:.2e} against {theirs["rms"]:.2e}')
    for label in (name for name in found if name != 'made_with'):
        row = found[label]
        print(f'{label:<10} to hf f32: mean {row["mean"]:.2e}, rms {row["rms"]:.2e}, most {row["most"]:.2e} '
              f'({row["tokens"]} tokens)')
    found['wrong'] = wrong
    for line in wrong:
        print('WRONG', line)
    print(json.dumps(found))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
