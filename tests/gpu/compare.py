#!/usr/bin/env python3
"""compare.py A.jsonl B.jsonl --dtype f32|bf16: two devices' exported scores of one corpus, --per-token.

Documents, tokens and ids have to be equal; log-probabilities as near as the dtype allows. Prints the differences and
exits with 1 where they are too large.
"""
import argparse
import json
import math
import sys

# Natural logarithms: of any token, and in the mean over all. f32 sums differ in their order only; bf16 activations round
# to other neighbours now and then (tests/README.md has the same limits against the reference).
LIMITS = {'f32': (2e-3, 2e-4), 'bf16': (1.0, 2e-2)}


def read(path):
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('files', nargs=2)
    parser.add_argument('--dtype', choices=LIMITS, required=True)
    arguments = parser.parse_args()
    one, other = (read(path) for path in arguments.files)
    wrong = []
    if len(one) != len(other):
        wrong.append(f'{len(one)} documents against {len(other)}')
    differences, ranks = [], 0
    for a, b in zip(one, other):
        for name in ('id', 'status', 'tokens'):
            if a[name] != b[name]:
                wrong.append(f'{a["id"]}: {name} {a[name]} against {b[name]}')
        x, y = a.get('token', {}), b.get('token', {})
        if x.get('id') != y.get('id'):
            wrong.append(f'{a["id"]}: other tokens')
        for p, q in zip(x.get('logprob', []), y.get('logprob', [])):
            if p is None or q is None or not (math.isfinite(p) and math.isfinite(q)):
                if p != q:
                    wrong.append(f'{a["id"]}: log-probabilities {p} and {q}')
                continue
            differences.append(abs(p - q))
        ranks += sum(p != q for p, q in zip(x.get('rank', []), y.get('rank', [])))
    if not differences:
        wrong.append('no tokens to compare')
    else:
        greatest, mean = max(differences), sum(differences) / len(differences)
        allowed = LIMITS[arguments.dtype]
        print(f'{arguments.dtype}: {len(differences)} tokens, log-probabilities differ by {mean:.2e} in the mean and '
              f'{greatest:.2e} at most (allowed {allowed[1]:.0e} and {allowed[0]:.0e}), {ranks} other ranks')
        if greatest > allowed[0] or mean > allowed[1]:
            wrong.append('the devices do not agree')
    for line in wrong[:20]:
        print('WRONG', line)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
