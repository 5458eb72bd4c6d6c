"""Run directories, parts, job files, machine descriptions and options."""
import json
import os
import shutil
import struct
import subprocess

import h5py
from case import FIXTURES, MACHINE, THRESHER, Case, write
from corpus import good_corpus

MODEL = FIXTURES / 'mistral'


def finished_run(folder):
    """A run directory of two shards."""
    corpus = good_corpus(folder / 'corpus.h5')
    words = [THRESHER, 'score', '--model', MODEL, '--corpus', corpus, '--output', folder / 'run', '--per-token',
             '--shard-documents', 3, '--threads', 1]
    subprocess.run(list(map(str, words)), check=True, capture_output=True)
    return folder / 'run'


def json_edits(good):
    """(name, text, code): what a JSON file of ours may have become."""
    whole = json.dumps(good)
    yield 'empty', '', 65
    yield 'NUL', '\0', 65
    yield 'array', '[]', 65
    yield 'number', '7', 65
    yield 'text', '"x"', 65
    yield 'cut', whole[:len(whole) // 2], 65
    yield 'cut by one', whole[:-1], 65
    yield 'NUL behind', whole + '\0', 65
    yield 'more behind', whole + '{}', 65
    yield 'invalid UTF-8', whole.encode()[:-1] + b', "x": "\xff"}', 65
    yield 'NaN', whole[:-1] + ', "x": NaN}', 65
    yield '1e999', whole[:-1] + ', "x": 1e999}', 65
    for levels in (100, 100000, 1000000):
        yield f'{levels} arrays', whole[:-1] + ', "x": ' + '[' * levels + ']' * levels + '}', 65
        yield f'{levels} objects', whole[:-1] + ', "x": ' + '{"a":' * levels + '1' + '}' * levels + '}', 65


def field_edits(good):
    """(name, text): each field absent and of other types."""
    for key in good:
        yield f'no {key}', json.dumps({k: v for k, v in good.items() if k != key})
        for bad in (None, 'x', -1, 1.5, True, [], {}, 2 ** 63, [[1]], {'a': [1]}, '\x1b[31m\0'):
            yield f'{key} {json.dumps(bad)}', json.dumps({**good, key: bad})


def copies(run, folder):
    """Calls make(name) for a copy of the run with a file of it to be written anew."""
    count = 0

    def make(file, content):
        nonlocal count
        count += 1
        target = folder / f'run-{count}'
        shutil.copytree(run, target)
        (target / file).unlink()
        if content is not None:
            write(target / file, content)
        return target
    return make


def plans(run, copy):
    good = json.loads((run / 'plan.json').read_text())
    for name, text, code in json_edits(good):
        yield Case('plan.json, ' + name, ['verify', copy('plan.json', text)], code, 'plan.json')
    for name, text in field_edits(good):
        yield Case('plan.json, ' + name, ['verify', copy('plan.json', text)], 65, '')
    for shards in ([], [0], [1, 5], [0, 5, 3], [0, 3, 6], [0, 3, 5, 5], [0, 0, 3, 5], [0, 3.0, 5], [0, 3, 2 ** 62], [0, -3, 5],
                   [0, 3, 2 ** 63 - 1], [0, 3, 2 ** 64 - 1], [0, 3, 1e300], [0, '3', 5], [0, None, 5], [3, 5],
                   list(range(100000))):
        text = json.dumps({**good, 'shards': shards})
        yield Case(f'plan.json, shards {str(shards)[:40]}', ['verify', copy('plan.json', text)], {65, 75}, '')
    for key, bad in (('output_mode', 'magic'), ('per_token', 'maybe'), ('top_k', '-1'), ('top_k', '99999999999999999999'),
                     ('top_k', 'x'), ('pairs', '\0'), ('per_token', 'no'), ('top_k', '7')):
        text = json.dumps({**good, 'values': {**good['values'], key: bad}})
        yield Case(f'plan.json, {key} {bad!r}', ['verify', copy('plan.json', text)], 65, '')
    yield Case('plan.json, missing', ['verify', copy('plan.json', None)], 75, 'holds no plan')


def other_files(run, copy):
    for name in ('summary.json', '_SUCCESS'):
        good = json.loads((run / name).read_text())
        for what, text, code in json_edits(good):
            yield Case(f'{name}, {what}', ['verify', copy(name, text)], code, name)
            if name == 'summary.json':
                yield Case(f'inspect {name}, {what}', ['inspect', copy(name, text)], code, name)
        for key in ('documents', 'tokens', 'logprob', 'documents_by_status'):
            for bad in (None, 'x', -1, [], {}, 2 ** 63, 1e300):
                yield Case(f'{name}, {key} {bad!r}', ['verify', copy(name, json.dumps({**good, key: bad}))], 65, name)
    status = json.loads((run / 'status.json').read_text())
    for what, text, _ in json_edits(status):
        yield Case(f'status.json, {what}', ['status', copy('status.json', text)], 0, 'finished')
    for what, text in field_edits(status):
        yield Case(f'status.json, {what}', ['status', copy('status.json', text)], {0, 65}, '')
    for name, content in (('rejects.jsonl', b'\0' * 100), ('rejects.jsonl', b'{}\n' * 100), ('_SUCCESS', None)):
        yield Case(f'{name} {content and content[:4]}', ['verify', copy(name, content)], {65, 75}, '')
    for name in ('plan.json', 'summary.json', 'results.h5', 'rejects.jsonl', '_SUCCESS', 'parts/part-00000000.h5'):
        for kind, make in (('FIFO', os.mkfifo), ('directory', os.mkdir), ('link out', lambda at: at.symlink_to('/etc/passwd'))):
            target = copy(name, None)
            make(target / name)
            yield Case(f'{name} a {kind}', ['verify', target], {65, 66, 75, 77}, '')


def parts(run, copy):
    name = 'parts/part-00000000.h5'
    good = (run / name).read_bytes()
    for what, content in (('empty', b''), ('63 bytes', good[-63:]), ('only its trailer', good[-64:]), ('no trailer', good[:-64]),
                          ('cut by one', good[:-1]), ('one byte more', good + b'\0'), ('trailer twice', good + good[-64:]),
                          ('zeros', bytes(len(good))), ('the other one', (run / 'parts/part-00000001.h5').read_bytes()),
                          ('version 2', good[:-57] + b'\x02' + good[-56:])):
        yield Case(f'part, {what}', ['verify', copy(name, content)], 65, 'part-00000000.h5')
    for offset, what in ((8, 'shard'), (16, 'first document'), (24, 'rows'), (32, 'tokens'), (40, 'bytes')):
        for value in (-1, 7, 2 ** 62, 2 ** 63 - 1, -2 ** 63):
            at = len(good) - 64 + offset
            content = good[:at] + struct.pack('<q', value) + good[at + 8:]
            yield Case(f'part, {what} {value}', ['verify', copy(name, content)], 65, 'part-00000000.h5')
    step = max(1, len(good) // 40)
    for at in range(0, len(good), step):
        content = good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1:]
        yield Case(f'part, bit of byte {at}', ['verify', copy(name, content)], 65, 'part-00000000.h5')
        yield Case(f'inspect part, bit of byte {at}', ['inspect', copy(name, content) / name], 65, '')


def results(run, copy):
    good = (run / 'results.h5').read_bytes()
    edits = {'no logprob': lambda f: f.__delitem__('logprob'), 'no id': lambda f: f.__delitem__('id'),
             'link': lambda f: (f.__delitem__('logprob'), f.__setitem__('logprob', h5py.ExternalLink('/etc/passwd', '/x'))),
             'status 77': lambda f: f['status'].__setitem__(0, 77), 'logprob': lambda f: f['logprob'].__setitem__(0, 1e300),
             'offsets': lambda f: f['token/offsets'].__setitem__(1, 2 ** 63), 'tokens': lambda f: f['tokens'].__setitem__(0, -5),
             'version 99': lambda f: f.attrs.__setitem__('version', 99), 'parts_version': lambda f: f.attrs.__setitem__(
                 'parts_version', 1), 'plan': lambda f: f.attrs.__setitem__('plan', 'x' * 60000)}
    for what, edit in edits.items():
        target = copy('results.h5', good)
        with h5py.File(target / 'results.h5', 'r+') as file:
            edit(file)
        yield Case(f'results.h5, {what}', ['verify', target], 65, 'results.h5')
        yield Case(f'export results.h5, {what}', ['export', target, '--to', 'jsonl'], {0, 65}, '')
    for size in (0, 8, 100, 2000, len(good) // 2, len(good) - 1):
        yield Case(f'results.h5 cut at {size}', ['export', copy('results.h5', good[:size]), '--to', 'csv'], 65, 'results.h5')


def job_files(folder):
    corpus = good_corpus(folder / 'job.h5')
    base = ['score', '--model', folder / 'nowhere', '--corpus', corpus, '--output', folder / 'never']
    for number, (name, text, message) in enumerate((
            ('a line without =', 'model\n', 'job'), ('unknown name', 'colour = red\n', 'colour'), ('twice', 'dtype = f32\n' * 2, 'dtype'),
            ('NUL', 'dtype = f\0 32\n', 'dtype'), ('invalid UTF-8', b'dtype = \xff\xfe\n', 'dtype'),
            ('control characters', 'dtype = \x1b]0;x\x07\n', 'dtype'), ('section', '[score]\ndtype = f32\n', 'score.dtype'),
            ('no value', 'dtype =\n', 'dtype'), ('a million characters', 'dtype = ' + 'x' * 1000000 + '\n', 'dtype'),
 ('= alone', '=\n', ''), ('only =', '= = =\n', ''),
            ('brackets', '[[[[\n', ''), ('binary', bytes(range(256)) * 10, ''),
            ('a number too large', 'window = 99999999999999999999\n', 'window'), ('a fraction', 'threads = 1.5\n', 'threads'),
            ('a command', 'dtype = $(reboot)\n', 'dtype'), ('50,000 names', ''.join(f'a{i} = 1\n' for i in range(50000)), '101 problems'))):
        file = write(folder / f'job-{number}.conf', text)
        yield Case('job file, ' + name, [*base, '--job', file], 64, message, file)
    large = write(folder / 'large.conf', 'dtype = f32\n' + '#' * (1 << 20))
    yield Case('job file of a mebibyte and more', [*base, '--job', large], 65, 'more than 1048576 bytes', large)
    for kind, path in (('a directory', folder), ('a device', '/dev/zero'), ('nothing', folder / 'nothing.conf')):
        yield Case(f'job file, {kind}', [*base, '--job', path], {64, 65, 66}, '')


def options(folder):
    corpus = good_corpus(folder / 'options.h5')
    base = ['score', '--model', MODEL, '--corpus', corpus, '--output', folder / 'unwritten']
    whole = ('tokens-per-batch', 'threads', 'window', 'stride', 'top-k', 'shard-documents', 'shard-bytes', 'max-rejects')
    for name in whole:
        for bad in ('', 'x', '-1', '1.5', '1e3', '0x10', ' 1', '1 ', '+1', '--', '9223372036854775808', '18446744073709551616',
                    '-9223372036854775809', '9' * 400, '1\x1b[31m', '١'):
            yield Case(f'--{name} {bad[:30]!r}', [*base, f'--{name}={bad}'], 64, name)
    for name in ('dtype', 'layout', 'device', 'bos', 'prefix-token', 'output-mode', 'tp-exact', 'max-time'):
        for bad in ('', 'x', '-1', 'BF16', '\x1b[31m', 'x' * 100000):
            yield Case(f'--{name} {bad[:20]!r}', [*base, f'--{name}={bad}'], 64, name)
    for bad in ('dp=0', 'dp=-1', 'dp=99999999999999999999', 'dp=1,dp=1', 'dp=1,', ',', 'xx=1', 'dp=1;pp=1', 'dp=1.0'):
        yield Case(f'--layout {bad}', [*base, f'--layout={bad}'], 64, 'layout')


def machines(folder):
    good = json.loads(MACHINE.read_text())
    words = ['plan', '--model', MODEL, '--documents', 10, '--mean-tokens', 10, '--ranks', 1, '--machine']
    for number, (name, text, code) in enumerate(json_edits(good)):
        file = write(folder / f'machine-{number}.json', text)
        yield Case(f'machine, {name}', [*words, file], code, file.name)
    for number, (name, text) in enumerate(field_edits(good)):
        file = write(folder / f'machine-field-{number}.json', text)
        yield Case(f'machine, {name}', [*words, file], {0, 65}, '')


def cases(folder):
    run = finished_run(folder)
    copy = copies(run, folder)
    for group in (plans, other_files, parts, results):
        yield from group(run, copy)
    for group in (job_files, options, machines):
        yield from group(folder)
