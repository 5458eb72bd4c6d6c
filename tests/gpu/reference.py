#!/usr/bin/env python3
"""reference.py THRESHER FILE [--shape NAME | --model DIR --text FILE]: makes what gate.py compares with, on a machine that
has torch and transformers (`--python`). `reference/` holds what it made:

  reference.py build/release/thresher tests/gpu/reference/llama-1b.json --shape llama-1b --tokens 4096
  reference.py build/release/thresher tests/gpu/reference/tiny.json --shape tiny --tokens 700
  reference.py build/release/thresher tests/gpu/reference/bundled.json --model data/model --text LICENSE
"""
import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import streams

HERE = Path(__file__).resolve().parent


def text_stream(thresher, model, text, folder):
    """Pieces of a text of different lengths, and the tokens that our tokenizer makes of them, BOS in front."""
    config = json.loads((Path(model) / 'config.json').read_text())
    pieces, at = [], 0
    for size in (5, 60, 200, 700, 90, 1, 350, 1000, 150, 33) * 2:
        pieces.append(text[at:at + size])
        at += size
    corpus = folder / 'text.jsonl'
    corpus.write_text(''.join(json.dumps({'text': piece}) + '\n' for piece in pieces))
    run = folder / 'run'
    subprocess.run([thresher, 'score', '--model', model, '--corpus', corpus, '--output', run, '--per-token', '--bos', 'auto'],
                   check=True, stdout=subprocess.DEVNULL)
    lines = subprocess.run([thresher, 'export', run, '--to', 'jsonl'], check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in lines.splitlines()]
    if any(row['status'] != 'ok' for row in rows):
        sys.exit('reference.py: a piece was not scored whole')
    streams.write(folder, 'gate', [[config['bos_token_id'], *row['token']['id']] for row in rows], pieces)
    return pieces


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('thresher')
    parser.add_argument('file')
    parser.add_argument('--shape')
    parser.add_argument('--tokens', type=int, default=4096)
    parser.add_argument('--model')
    parser.add_argument('--text')
    parser.add_argument('--python', default='python3')
    parser.add_argument('--device', default='cpu')
    arguments = parser.parse_args()
    folder, texts = Path(tempfile.mkdtemp()), None
    model = arguments.model
    if arguments.shape:
        model = folder / 'model'
        subprocess.run([arguments.thresher, 'bench', '--shape', arguments.shape, '--make-model', model], check=True)
        config = json.loads((model / 'config.json').read_text())
        streams.write_tokenizer(model, config['vocab_size'])
        streams.make(folder, 'gate', arguments.tokens, config)
    else:
        texts = text_stream(arguments.thresher, model, Path(arguments.text).read_text(encoding='utf-8'), folder)
    made = subprocess.run([arguments.python, '-B', HERE / 'peers.py', 'hf', model, folder, '--device', arguments.device],
                          input=f'reference gate {folder / "made.json"}\n', text=True, check=True, stdout=subprocess.PIPE)
    print(made.stdout.strip())
    found = json.loads((folder / 'made.json').read_text())
    if texts:
        found['texts'] = texts
    Path(arguments.file).write_text(json.dumps(found, separators=(',', ':')) + '\n')
    shutil.rmtree(folder)


if __name__ == '__main__':
    main()
