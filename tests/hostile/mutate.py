"""Valid files, changed at random by a seed: any documented end will do, but an end it has to be."""
import copy
import gzip
import json
import random
import shutil
import struct

from case import FIXTURES, MACHINE, Case, write
from corpus import good_corpus
from jobs import finished_run
from texts import lines, zst_raw

NUMBERS = (0, 1, -1, 7, 127, 255, 2 ** 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 42 + 1, 2 ** 62, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1)
VALUES = (*NUMBERS, 1.5, 1e300, -0.0, None, True, False, '', 'x', '\0', '\ufffd', '<0x-1>', 'a' * 5000, [], {}, [[]], {'a': 1})


def flip_bits(draw, data):
    changed = bytearray(data)
    reach = len(data) if draw.random() < 0.3 else min(len(data), 4096)
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        if reach:
            changed[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(draw, data):
    return data[:draw.randrange(len(data) + 1)]


def splice(draw, data):
    """A piece taken out, repeated, or put elsewhere."""
    a, b, c = sorted(draw.randrange(len(data) + 1) for _ in range(3))
    return draw.choice((data[:a] + data[b:], data[:b] + data[a:], data[:a] + data[b:c] + data[a:b] + data[c:],
                        data[:a] + bytes(draw.randrange(256) for _ in range(20)) + data[a:]))


def put_number(draw, data):
    size = draw.choice((2, 4, 8))
    if len(data) <= size:
        return data
    at = draw.randrange(min(len(data), 4096) - size) if len(data) > size + 1 else 0
    number = draw.choice(NUMBERS) % (1 << 8 * size)
    return data[:at] + number.to_bytes(size, draw.choice(('little', 'little', 'big'))) + data[at + size:]


def places(node, found):
    """All (container, key) below a JSON value."""
    for key in (node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()):
        found.append((node, key))
        places(node[key], found)
    return found


def change_json(draw, root):
    root = copy.deepcopy(root)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        at = places(root, [])
        if not at:
            break
        node, key = draw.choice(at)
        kind = draw.randrange(5)
        if kind == 0 and isinstance(node, dict):
            del node[key]
        elif kind == 1:
            other, from_key = draw.choice(at)
            node[key] = copy.deepcopy(other[from_key])
        elif kind == 2 and isinstance(node, dict):
            node[draw.choice(('x', '', str(key) + ' ', '__metadata__', '\0'))] = node[key]
        elif kind == 3 and isinstance(node[key], (int, float)) and not isinstance(node[key], bool):
            node[key] = draw.choice((node[key] + 1, node[key] - 1, -node[key], node[key] * 2, node[key] + 2 ** 32))
        else:
            node[key] = copy.deepcopy(draw.choice(VALUES))
    return root


def change(draw, data):
    return draw.choice((flip_bits, flip_bits, cut, splice, put_number))(draw, data)


def change_text(draw, data):
    """JSON by its fields as often as by its bytes."""
    return json.dumps(change_json(draw, json.loads(data))).encode() if draw.random() < 0.6 else change(draw, data)


def change_safetensors(draw, data):
    """The header by its fields, with a length that fits, as often as the bytes."""
    if draw.random() < 0.5:
        return change(draw, data)
    size = struct.unpack('<Q', data[:8])[0]
    header = json.dumps(change_json(draw, json.loads(data[8:8 + size]))).encode()
    return struct.pack('<Q', len(header)) + header + data[8 + size:]


class Sources:
    """The valid files, and for each kind a way to put a changed one where a command reads it."""

    def __init__(self, folder):
        self.folder = folder
        self.run = finished_run(folder)
        good = b'\n'.join(line for line, status in lines() if status in ('ok', 'empty', 'wrong_type')) + b'\n'
        self.kinds = {
            'safetensors': self.in_model('llama_geglu', 'model.safetensors', change_safetensors),
            'index': self.in_model('mistral', 'model.safetensors.index.json', change_text),
            'config': self.in_model('qwen3_layers', 'config.json', change_text),
            'tokenizer': self.in_model('mistral', 'tokenizer.json', change_text),
            'tokenizer of qwen': self.in_model('qwen3', 'tokenizer.json', change_text),
            'corpus': self.alone('corpus.h5', (folder / 'corpus.h5').read_bytes(), change),
            'jsonl': self.text('a.jsonl', good, change),
            'gz': self.text('a.jsonl.gz', gzip.compress(good, mtime=0), change),
            'zst': self.text('a.jsonl.zst', zst_raw(good), change),
            'plan.json': self.in_run('plan.json', change_text, 'verify'),
            'part': self.in_run('parts/part-00000000.h5', change, 'verify'),
            'results': self.in_run('results.h5', change, 'export'),
            'results to verify': self.in_run('results.h5', change, 'verify'),
            'status': self.in_run('status.json', change_text, 'status'),
            'machine': self.alone('machine.json', MACHINE.read_bytes(), change_text),
        }

    def in_model(self, model, name, changes):
        def make(draw, folder):
            shutil.copytree(FIXTURES / model, folder)
            changed = changes(draw, (FIXTURES / model / name).read_bytes())
            (folder / name).unlink()
            write(folder / name, changed)
            if name != 'tokenizer.json':
                return ['inspect', folder], None
            return ['plan', '--model', folder, '--corpus', self.folder / 'corpus.h5', '--machine', MACHINE, '--ranks', 1], None
        return make

    def alone(self, name, data, changes):
        def make(draw, folder):
            file = write(folder / name, changes(draw, data))
            if name == 'machine.json':
                return ['plan', '--model', FIXTURES / 'mistral', '--documents', 9, '--mean-tokens', 9, '--ranks', 1,
                        '--machine', file], None
            if draw.random() < 0.5:
                return ['inspect', file], None
            return ['plan', '--model', FIXTURES / 'mistral', '--corpus', file, '--machine', MACHINE, '--ranks', 1], None
        return make

    def text(self, name, data, changes):
        def make(draw, folder):
            file = write(folder / name, changes(draw, data))
            return ['import', '--input', file, '--output', folder / 'out.h5'], None
        return make

    def in_run(self, name, changes, command):
        def make(draw, folder):
            shutil.copytree(self.run, folder)
            before = (folder / name).read_bytes()
            after = changes(draw, before)
            write(folder / name, after)
            words = [command, folder] + (['--to', 'jsonl'] if command == 'export' else [])
            if command != 'verify' or name == 'results.h5' or after == before:
                return words, None
            if name == 'plan.json' and same_json(before, after):
                return words, None
            return words, lambda outcome: 'the damage was not seen'
        return make


def same_json(a, b):
    """Equal but for the type of numbers: what verify reads of a plan."""
    try:
        a, b = json.loads(a), json.loads(b)
        return a['values'] == b['values'] and a['shards'] == b['shards']
    except (ValueError, KeyError, TypeError):
        return False


def cases(folder, seed, count):
    sources = Sources(folder)
    kinds = list(sources.kinds.items())
    for number in range(count):
        kind, make = kinds[number % len(kinds)]
        draw = random.Random(f'{seed} {number}')
        place = folder / f'mutant-{number}'
        words, good = make(draw, place)
        yield Case(f'mutant {number} of seed {seed}, {kind}', words, None, '', place, good)
