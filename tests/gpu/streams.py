"""Token streams that every system scores, and models whose tokenizer lets a text say exactly which tokens it has."""
import array
import json
import random
from pathlib import Path

# What a stream holds: (a) one length, (b) lengths as web pages have them, (c) short ones. `gate` is for comparing numbers.
KINDS = ('fixed', 'web', 'short', 'gate')
GATE_LENGTHS = (2, 3, 17, 64, 129, 500, 1023, 2048)


def lengths_of(kind, tokens, positions, draw):
    """Document lengths of about `tokens` tokens together, none longer than `positions`."""
    lengths = []
    while sum(lengths) < tokens:
        if kind == 'fixed':
            length = 2048
        elif kind == 'web':
            # Lognormal of mean 600: exp(mu + sigma^2 / 2) with sigma = 1.
            length = min(8192, max(2, round(draw.lognormvariate(5.8969, 1.0))))
        elif kind == 'short':
            length = draw.randint(32, 128)
        else:
            length = GATE_LENGTHS[len(lengths) % len(GATE_LENGTHS)]
        lengths.append(min(length, positions))
    return lengths


def make(folder, kind, tokens, config, seed=1):
    """Writes KIND.ids (uint32), KIND.lengths (uint32) and KIND.jsonl, the text of the same tokens."""
    draw = random.Random(f'{kind} {seed}')
    lengths = lengths_of(kind, tokens, config['max_position_embeddings'], draw)
    write(folder, kind, [[draw.randrange(1, config['vocab_size']) for _ in range(length)] for length in lengths])


def write(folder, kind, documents, texts=None):
    """KIND.ids, KIND.lengths and KIND.jsonl of these documents; without texts in the words of `write_tokenizer`."""
    folder = Path(folder)
    (folder / f'{kind}.ids').write_bytes(array.array('I', [i for document in documents for i in document]).tobytes())
    (folder / f'{kind}.lengths').write_bytes(array.array('I', map(len, documents)).tobytes())
    with open(folder / f'{kind}.jsonl', 'w', encoding='utf-8') as file:
        for number, document in enumerate(documents):
            text = texts[number] if texts else ' '.join(f't{i}' for i in document)
            file.write(json.dumps({'id': str(number), 'text': text}) + '\n')


def read(folder, kind):
    """The documents of a stream, as lists of token ids."""
    ids, lengths = array.array('I'), array.array('I')
    ids.frombytes((Path(folder) / f'{kind}.ids').read_bytes())
    lengths.frombytes((Path(folder) / f'{kind}.lengths').read_bytes())
    documents, at = [], 0
    for length in lengths:
        documents.append(ids[at:at + length].tolist())
        at += length
    return documents


def write_tokenizer(model, vocabulary):
    """Makes token i the word `ti` of the model in this directory; no BOS."""
    (Path(model) / 'tokenizer_config.json').unlink(missing_ok=True)
    text = {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': [], 'normalizer': None,
            'pre_tokenizer': {'type': 'WhitespaceSplit'}, 'post_processor': None, 'decoder': None,
            'model': {'type': 'WordLevel', 'unk_token': 't0', 'vocab': {f't{i}': i for i in range(vocabulary)}}}
    (Path(model) / 'tokenizer.json').write_text(json.dumps(text), encoding='utf-8')


def flops(config, lengths, scored=None):
    """FLOPs of scoring documents of these lengths: real tokens only, the head for scored positions, causal attention."""
    d, f, layers = config['hidden_size'], config['intermediate_size'], config['num_hidden_layers']
    hq, hk, hd = config['num_attention_heads'], config['num_key_value_heads'], config['head_dim']
    tokens = sum(lengths)
    if scored is None:
        scored = sum(length - 1 for length in lengths)
    block = d * (hq + 2 * hk) * hd + hq * hd * d + 3 * d * f
    pairs = sum(length * (length + 1) / 2 for length in lengths)
    return 2.0 * layers * block * tokens + 2.0 * d * config['vocab_size'] * scored + 4.0 * hq * hd * layers * pairs


def numbers_named(value, part):
    """Numbers of a JSON object whose names hold `part`, however deep."""
    found = {}
    for name, inner in value.items() if isinstance(value, dict) else ():
        if part in name and isinstance(inner, (int, float)):
            found[name] = inner
        found.update(numbers_named(inner, part))
    return found
