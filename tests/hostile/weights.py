"""safetensors files and their index."""
import json
import os
import shutil

from case import FIXTURES, Case, write


def header_of(text, length=None, data=b''):
    raw = text if isinstance(text, bytes) else text.encode('utf-8', 'surrogatepass')
    return (len(raw) if length is None else length).to_bytes(8, 'little') + raw + data


def tensor(shape, begin, end, dtype='F32'):
    return {'dtype': dtype, 'shape': shape, 'data_offsets': [begin, end]}


# A header that is read as it should be gets as far as the tensors that a model needs.
READ = 'is missing'


def layouts():
    """(name, header, bytes of data, message)."""
    t = tensor
    yield 'one tensor', {'a': t([2, 3], 0, 24)}, 24, READ
    yield 'no tensors', {}, 0, READ
    yield 'only metadata', {'__metadata__': {'format': 'pt'}}, 0, READ
    yield 'two tensors', {'a': t([2], 0, 8), 'b': t([1], 8, 12)}, 12, READ
    yield 'two tensors, other order', {'b': t([1], 8, 12), 'a': t([2], 0, 8)}, 12, READ
    yield 'empty tensor', {'a': t([0], 0, 0), 'b': t([1], 0, 4)}, 4, READ
    yield 'empty tensor at the end', {'b': t([1], 0, 4), 'a': t([0, 7], 4, 4)}, 4, READ
    yield 'scalar', {'a': t([], 0, 4)}, 4, READ
    yield 'hole at the beginning', {'a': t([1], 4, 8)}, 8, 'without hole or overlap'
    yield 'hole', {'a': t([1], 0, 4), 'b': t([1], 8, 12)}, 12, 'without hole or overlap'
    yield 'hole of one byte', {'a': t([1], 0, 4), 'b': t([1], 5, 9)}, 9, 'without hole or overlap'
    yield 'overlap', {'a': t([2], 0, 8), 'b': t([2], 4, 12)}, 12, 'without hole or overlap'
    yield 'overlap of one byte', {'a': t([2], 0, 8), 'b': t([1], 7, 11)}, 11, 'without hole or overlap'
    yield 'the same place twice', {'a': t([2], 0, 8), 'b': t([2], 0, 8)}, 8, 'without hole or overlap'
    yield 'one inside the other', {'a': t([3], 0, 12), 'b': t([1], 4, 8)}, 12, 'without hole or overlap'
    yield 'end before begin', {'a': t([1], 4, 0)}, 4, 'without hole or overlap'
    yield 'empty tensor inside another', {'a': t([2], 0, 8), 'b': t([0], 4, 4)}, 8, 'without hole or overlap'
    for more in (1, 8, 4096):
        yield f'{more} bytes behind', {'a': t([2], 0, 8)}, 8 + more, 'it is too long'
        yield f'{more} bytes missing', {'a': t([2048], 0, 8192)}, 8192 - more, 'it is cut short'
    yield 'bytes without a tensor', {}, 1, 'it is too long'
    for shape, begin_end in (([3], (0, 8)), ([1], (0, 8)), ([2, 2], (0, 8)), ([], (0, 8)), ([0], (0, 8))):
        yield f'shape {shape} in 8 bytes', {'a': t(shape, *begin_end)}, 8, 'by its shape and'
    for dtype, size in (('F64', 8), ('I8', 1), ('BOOL', 1), ('BF16', 2), ('C64', 8), ('F8_E4M3', 1)):
        yield f'{dtype} of {size}', {'a': t([1], 0, size, dtype)}, size, READ
        yield f'{dtype} of {size + 1}', {'a': t([1], 0, size + 1, dtype)}, size + 1, 'by its shape and'
    yield 'F4, two', {'a': t([2], 0, 1, 'F4')}, 1, READ
    yield 'F4, one', {'a': t([1], 0, 1, 'F4')}, 1, 'not whole bytes'
    yield 'F6, three', {'a': t([3], 0, 2, 'F6_E2M3')}, 2, 'not whole bytes'
    for dtype in ('', 'f32', 'F33', 'F32 ', 'PICKLE', 'F' * 1000):
        yield f'dtype {dtype[:9]!r}', {'a': t([1], 0, 4, dtype)}, 4, 'unknown dtype'
    for power in (57, 58, 62, 63, 64):
        yield f'2^{power} elements', {'a': t([2 ** power], 0, 4)}, 4, \
            'by its shape' if power < 58 else 'product is too large' if power < 63 else 'too large' if power < 64 else 'whole numbers'
    yield '2^63 - 1 elements', {'a': t([2 ** 63 - 1], 0, 4)}, 4, 'product is too large'
    yield 'product that wraps to 0', {'a': t([2 ** 32, 2 ** 32], 0, 0)}, 0, 'product is too large'
    yield 'product that wraps to 0 by bits', {'a': t([2 ** 42, 2 ** 17], 0, 0)}, 0, 'product is too large'
    yield 'product that wraps to 4 bytes', {'a': t([2 ** 31, 2 ** 31, 4, 1], 0, 4)}, 4, 'product is too large'
    yield 'product that a 0 would hide', {'a': t([2 ** 62, 2 ** 62, 0], 0, 0)}, 0, 'product is too large'
    yield '2^42 + 1 in 4 bytes', {'a': t([2 ** 42 + 1], 0, 4)}, 4, 'by its shape and'
    yield 'offsets of 2^63 - 1', {'a': t([1], 2 ** 63 - 5, 2 ** 63 - 1)}, 4, 'without hole or overlap'
    yield 'end of 2^63 - 1', {'a': t([1], 0, 2 ** 63 - 1)}, 4, 'by its shape and'
    yield 'end of 2^63', {'a': t([1], 0, 2 ** 63)}, 4, 'is too large'
    yield 'end of 2^64', {'a': t([1], 0, 2 ** 64)}, 4, 'has to be a list'
    yield 'end of 2^64 - 1', {'a': t([1], 0, 2 ** 64 - 1)}, 4, 'is too large'
    for rank in (7, 8):
        yield f'{rank} dimensions', {'a': t([1] * rank, 0, 4)}, 4, READ
    for rank in (9, 4000):
        yield f'{rank} dimensions', {'a': t([1] * rank, 0, 4)}, 4, 'more than 8 dimensions'
    for length, message in ((1023, READ), (1024, READ), (1025, 'the limit is 1024'), (100000, 'the limit is 1024')):
        yield f'name of {length} bytes', {'n' * length: t([1], 0, 4)}, 4, message
    for bad in (-1, 1.0, 0.5, 1e99, '4', None, True, [], {}):
        yield f'offset {bad!r}', {'a': {**t([1], 0, 4), 'data_offsets': [0, bad]}}, 4, 'has to be a list'
        yield f'extent {bad!r}', {'a': t([bad], 0, 4)}, 4, 'has to be a list' if bad != [] and bad != {} else 'a'
    for key in ('dtype', 'shape', 'data_offsets'):
        lacking = {k: v for k, v in t([1], 0, 4).items() if k != key}
        yield f'no {key}', {'a': lacking}, 4, 'is missing'
        for bad in (None, 7, {}, 'x' if key != 'dtype' else [], True):
            yield f'{key} {bad!r}', {'a': {**t([1], 0, 4), key: bad}}, 4, f'{key}'
    yield 'unknown field', {'a': {**t([1], 0, 4), 'stride': [1]}}, 4, 'unknown field'
    yield 'three offsets', {'a': {**t([1], 0, 4), 'data_offsets': [0, 4, 4]}}, 4, 'more than 2 numbers'
    yield 'one offset', {'a': {**t([1], 0, 4), 'data_offsets': [0]}}, 4, 'not 2'
    yield 'no offsets', {'a': {**t([1], 0, 4), 'data_offsets': []}}, 4, 'not 2'
    for bad in (None, 7, 'x', [], True):
        yield f'tensor {bad!r}', {'a': bad}, 4, 'an object is expected'
        yield f'metadata {bad!r}', {'__metadata__': bad}, 0, 'an object is expected'
        yield f'value of metadata {bad!r}' if bad != 'x' else 'text in metadata', {'__metadata__': {'a': bad}}, 0, \
            '__metadata__' if bad != 'x' else READ
    yield '10,000 entries of metadata', {'__metadata__': {str(i): '' for i in range(10000)}}, 0, READ
    yield '10,001 entries of metadata', {'__metadata__': {str(i): '' for i in range(10001)}}, 0, 'of metadata'


def files():
    """(name, the file, message)."""
    for name, header, size, message in layouts():
        yield name, header_of(json.dumps(header), data=bytes(size)), message
    good = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    four = bytes(4)
    for size in range(9):
        yield f'file of {size} zeros', bytes(size), 'at least 8' if size < 8 else 'does not start'
    for length in (2 ** 64 - 1, 2 ** 63, 2 ** 63 - 1, 2 ** 32, 100_000_001):
        yield f'header of {length}', header_of('{' + good + '}', length, four), 'the limit is 100000000'
    yield 'header at the limit that is not there', header_of('{}', 100_000_000), 'cut short'
    yield 'header one byte too long', header_of('{}', 3), 'cut short'
    yield 'header one byte too short', header_of('{' + good + '}', len(good) + 1, four), 'not valid JSON'
    yield 'header as long as the file', header_of('{' + good + '}', len(good) + 14, four), 'cut short'
    yield 'spaces behind', header_of('{' + good + '}   ', data=four), READ
    yield 'space before', header_of(' {' + good + '}', data=four), 'does not start with'
    yield 'byte order mark', header_of('\ufeff{' + good + '}', data=four), 'does not start with'
    yield 'array', header_of('[]'), 'does not start with'
    yield 'text behind', header_of('{' + good + '} {}', data=four), 'not valid JSON'
    yield 'NUL behind', header_of('{' + good + '}\0', data=four), 'zero byte'
    yield 'NUL and more behind', header_of('{' + good + '}\0{"b":7}', data=four), 'zero byte'
    yield 'NUL in a name', header_of('{' + good.replace('"a"', '"a\\u0000b"') + '}', data=four), 'zero byte'
    yield 'raw NUL in a name', header_of('{' + good.replace('"a"', '"a\0b"') + '}', data=four), 'zero byte'
    yield 'invalid UTF-8 in a name', header_of(b'{' + good.encode().replace(b'"a"', b'"\xff\xfe"') + b'}', data=four), \
        'not valid JSON'
    yield 'overlong UTF-8 in a name', header_of(b'{' + good.encode().replace(b'"a"', b'"\xc0\xaf"') + b'}', data=four), \
        'not valid JSON'
    yield 'raw surrogate in a name', header_of('{' + good.replace('"a"', '"\ud800"') + '}', data=four), 'not valid JSON'
    yield 'lone surrogate in a name', header_of('{' + good.replace('"a"', '"\\ud800"') + '}', data=four), \
        'not valid JSON'
    yield 'control character in a name', header_of('{' + good.replace('"a"', '"\x01"') + '}', data=four), \
        'not valid JSON'
    yield 'name twice', header_of('{' + good + ',' + good + '}', data=four), 'stands twice'
    yield 'name twice, once escaped', header_of('{' + good + ',' + good.replace('"a"', '"\\u0061"') + '}', data=four), \
        'stands twice'
    yield 'metadata twice', header_of('{"__metadata__":{},"__metadata__":{}}'), 'stands twice'
    yield 'metadata holds a key twice', header_of('{"__metadata__":{"a":"","a":""}}'), 'twice'
    for key in ('dtype', 'shape', 'data_offsets'):
        again = {'dtype': '"F32"', 'shape': '[1]', 'data_offsets': '[0,4]'}[key]
        yield f'{key} twice', header_of('{' + good[:-1] + f',"{key}":{again}}}}}', data=four), 'stands twice'
    yield 'comma at the end', header_of('{' + good + ',}', data=four), 'not valid JSON'
    yield 'comment', header_of('{/**/' + good + '}', data=four), 'not valid JSON'
    yield 'single quotes', header_of('{' + good.replace('"', "'") + '}', data=four), 'not valid JSON'
    for number in ('NaN', 'Infinity', '01', '+1', '0x1', '1_0'):
        yield f'extent {number}', header_of('{' + good.replace('[1]', f'[{number}]') + '}', data=four), 'not valid JSON'
    yield 'extent -0', header_of('{' + good.replace('[1]', '[-0]') + '}', data=four), 'has to be a list'
    yield 'extent 1e999', header_of('{' + good.replace('[1]', '[1e999]') + '}', data=four), 'out_of_range'
    yield 'number of a million digits', header_of('{' + good.replace('[1]', f'[{"9" * 1000000}]') + '}', data=four), ''
    yield 'a million arrays', header_of('{"a":{"dtype":"F32","shape":' + '[' * 1000000), 'has to be a list'
    yield 'a million objects', header_of('{"a":' * 1000000), 'unknown field'
    yield 'metadata of 100,000 levels', header_of('{"__metadata__":' + '{"a":' * 100000), 'a string is expected'
    yield 'pickle', b'\x80\x02}q\x00' + bytes(100), 'safetensors'
    yield 'zip', b'PK\x03\x04' + bytes(100), 'safetensors'
    yield 'GGUF', b'GGUF\x03\0\0\0' + bytes(100), 'the limit is'
    yield 'HDF5', b'\x89HDF\r\n\x1a\n' + bytes(100), 'the limit is'


def indices(model):
    """(name, index.json, code, message); `model` has two good shards."""
    good = json.loads((model / 'model.safetensors.index.json').read_text())
    names = list(good['weight_map'])
    first, second = sorted(set(good['weight_map'].values()))[:2]

    def shard(value, key=None):
        changed = {**good['weight_map'], key or names[0]: value}
        return json.dumps({**good, 'weight_map': changed})

    plain = 'has to be the plain name'
    for bad in ('/etc/passwd', '/etc/x.safetensors', '../x.safetensors', '..', '.', '', './' + first, 'a/../' + first,
                'sub/' + first, 'sub\\' + first, '..\\x.safetensors', '.hidden.safetensors', '.safetensors',
                'x\0.safetensors', first + '\0', first + '\0.safetensors', first + '/', first + ' ', 'x.bin', 'x.pt',
                'config.json', 'x' * 244 + '.safetensors', '//' + first, 'file:///' + first,
                'https://example.com/' + first, '~/' + first, first + '\n'):
        yield f'shard {bad[:40]!r}', shard(bad), 65, plain if bad != 'file' else ''
    yield 'shard that is not there', shard('x.safetensors'), 66, 'x.safetensors'
    yield 'shard in other letters', shard(first.upper()), 65, plain
    yield 'shard of 255 bytes', shard('x' * 243 + '.safetensors'), 66, 'xxx'
    yield 'shard $HOME', shard('$HOME.safetensors'), 66, '$HOME'
    yield 'shard *', shard('*.safetensors'), 66, '*'
    yield 'the other shard', shard(second), 65, 'where the index says it is'
    yield 'tensor that no shard holds', shard(first, 'made.up'), 65, 'where the index says it is'
    yield 'tensor that the index lacks', json.dumps({'weight_map': {names[0]: good['weight_map'][names[0]]}}), 65, \
        'is missing'
    for bad in (None, 1, True, 1.5, [], {}, [first], {'file': first}):
        yield f'shard {bad!r}', shard(bad), 65, 'has to be a string'
        yield f'map {bad!r}', json.dumps({'weight_map': bad}), 65, \
            'is empty' if bad == {} else 'weight_map' if bad != {'file': first} else 'which the index does not name'
        if not isinstance(bad, dict):
            yield f'index {bad!r}', json.dumps(bad), 65, 'object' if bad != [] and bad != [first] else ''
    yield 'tensor that the index lacks in a shard of it', json.dumps(
        {'weight_map': {k: v for k, v in good['weight_map'].items() if k != names[1]}}), 65, 'which the index does not name'
    yield 'no map', '{}', 65, 'is missing'
    yield 'map elsewhere', json.dumps({'metadata': good}), 65, 'is missing'
    yield 'empty file', '', 65, 'not valid JSON'
    text = json.dumps(good)
    yield 'cut', text[:-1], 65, 'not valid JSON'
    yield 'more behind', text + 'x', 65, 'not valid JSON'
    yield 'NUL behind', text + '\0', 65, 'zero byte'
    yield 'map twice', text[:-1] + ',"weight_map":{}}', 65, 'stands twice'
    twice = f'"{names[0]}":"{first}"'
    yield 'tensor twice', f'{{"weight_map":{{{twice},{twice}}}}}', 65, 'stands twice'
    yield 'invalid UTF-8', text.encode()[:-1] + b',"a":"\xff"}', 65, 'not valid JSON'
    yield 'other fields', text[:-1] + ',"more":[1,{"weight_map":3}]}', 0, 'MistralForCausalLM'
    yield '63 levels', text[:-1] + ',"more":' + '[' * 62 + ']' * 62 + '}', 0, 'MistralForCausalLM'
    yield '66 levels', text[:-1] + ',"more":' + '[' * 66 + ']' * 66 + '}', 65, 'nested deeper'
    yield 'a million levels', '{"a":' * 1000000, 65, 'nested deeper'
    yield '10,001 shards', json.dumps({'weight_map': {str(i): f'{i}.safetensors' for i in range(10001)}}), 65, \
        'more than 10000 shards'


def linked(model, folder):
    """Directories whose files are links or no files: (name, directory, code, message)."""
    outside = write(folder / 'outside' / 'x.safetensors', (FIXTURES / 'qwen2' / 'model.safetensors').read_bytes())

    def copy(name):
        target = folder / 'linked' / name
        shutil.copytree(model, target)
        return target, sorted(target.glob('*.safetensors'))[0]

    def replaced(name, make, code, message):
        target, shard = copy(name)
        kept = shard.rename(shard.with_name('kept'))
        make(shard, kept)
        return name, target, code, message

    yield replaced('link out', lambda shard, kept: shard.symlink_to(outside), 65, 'outside of the model')
    yield replaced('relative link out', lambda shard, kept: shard.symlink_to('../../outside/x.safetensors'), 65,
                   'outside of the model')
    yield replaced('link to /etc/passwd', lambda shard, kept: shard.symlink_to('/etc/passwd'), 65,
                   'outside of the model')
    yield replaced('link to a device', lambda shard, kept: shard.symlink_to('/dev/zero'), 65, 'outside of the model')
    yield replaced('link inside', lambda shard, kept: shard.symlink_to('kept'), 0, 'MistralForCausalLM')
    yield replaced('link to itself', lambda shard, kept: shard.symlink_to(shard.name), None, '')
    yield replaced('link to nothing', lambda shard, kept: shard.symlink_to('nothing'), 66, '.safetensors')
    yield replaced('FIFO', lambda shard, kept: os.mkfifo(shard), 66, 'not a regular file')
    yield replaced('directory', lambda shard, kept: shard.mkdir(), 66, 'not a regular file')
    target, shard = copy('link through a folder')
    (target / 'sub').symlink_to(outside.parent)
    shard.unlink()
    shard.symlink_to('sub/x.safetensors')
    yield 'link through a folder', target, 65, 'outside of the model'
    cache = folder / 'models--x'
    snapshot = cache / 'snapshots' / '1'
    shutil.copytree(model, snapshot)
    (cache / 'blobs').mkdir()
    for file in sorted(snapshot.iterdir()):
        shutil.move(file, cache / 'blobs' / file.name)
        file.symlink_to('../../blobs/' + file.name)
    yield "links of Hugging Face's cache", snapshot, 0, 'MistralForCausalLM'
    for name in ('config.json', 'model.safetensors.index.json'):
        for kind, make in (('FIFO', os.mkfifo), ('directory', os.mkdir), ('link to a device', lambda at: at.symlink_to('/dev/zero'))):
            target, shard = copy(f'{name} a {kind}')
            (target / name).unlink()
            make(target / name)
            yield f'{name} a {kind}', target, {65, 66}, 'regular file'
    target, shard = copy('pickle')
    for file in target.glob('*.safetensors*'):
        file.unlink()
    write(target / 'pytorch_model.bin', b'\x80\x02}q\x00.')
    yield 'pickle', target, 78, 'never read'


def cases(folder):
    model = folder / 'sharded'
    shutil.copytree(FIXTURES / 'mistral', model)
    config = (FIXTURES / 'mistral' / 'config.json').read_bytes()
    for number, (name, content, message) in enumerate(files()):
        directory = folder / f'safetensors-{number}'
        write(directory / 'config.json', config)
        write(directory / 'model.safetensors', content)
        yield Case('safetensors, ' + name, ['inspect', directory], 65, message, directory)
    for number, (name, content, code, message) in enumerate(indices(model)):
        directory = folder / f'index-{number}'
        shutil.copytree(model, directory, copy_function=os.link)
        (directory / 'model.safetensors.index.json').unlink()
        write(directory / 'model.safetensors.index.json', content)
        yield Case('index, ' + name, ['inspect', directory], code, message, directory)
    for name, directory, code, message in linked(model, folder):
        yield Case('files, ' + name, ['inspect', directory], code, message, directory)
