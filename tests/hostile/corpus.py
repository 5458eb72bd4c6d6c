"""HDF5 corpora. `plan` opens one, checks its offsets and encodes a sample of it, without ranks."""
import struct

import h5py
import numpy as np
from case import FIXTURES, MACHINE, Case, write

TEXTS = ['a first text', 'größer', '数据 and more', 'x' * 500, 'the last one']


def good_corpus(path, texts=tuple(TEXTS), **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = [text.encode() for text in texts]
    with h5py.File(path, 'w', **more) as file:
        file['doc/offsets'] = np.cumsum([0] + [len(piece) for piece in data]).astype('u8')
        file['doc/text'] = np.frombuffer(b''.join(data), 'u1')
        file['doc/id'] = [f'd{i}' for i in range(len(data))]
    return path


SIZE = sum(len(text.encode()) for text in TEXTS)


def replaced(name, make):
    """An edit: instead of the dataset, what `make` puts there."""
    def edit(file):
        value = file[name][...]
        del file[name]
        make(file, name, value)
    return edit


def virtual(file, name, value):
    layout = h5py.VirtualLayout(shape=value.shape, dtype=value.dtype)
    layout[...] = h5py.VirtualSource('other.h5', 'x', shape=value.shape)
    file.create_virtual_dataset(name, layout)


def virtual_of_itself(file, name, value):
    layout = h5py.VirtualLayout(shape=value.shape, dtype=value.dtype)
    layout[...] = h5py.VirtualSource('.', name, shape=value.shape)
    file.create_virtual_dataset(name, layout)


def unlimited_virtual(file, name, value):
    without_end = h5py.h5s.UNLIMITED
    there = h5py.h5s.create_simple((1,), (without_end,))
    there.select_hyperslab((0,), (without_end,), (1,), (1,))
    source = h5py.h5s.create_simple((1,))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_virtual(there, b'other-%b.h5', b'x', source)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(value.dtype), there, properties)


def external(target):
    def make(file, name, value):
        file.create_dataset(name, shape=value.shape, dtype=value.dtype, external=[(target, 0, h5py.h5f.UNLIMITED)])
    return make


def filtered(code, *values):
    """A dataset that declares a filter which need not exist here."""
    def make(file, name, value):
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((len(value),))
        properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL, values)
        space = h5py.h5s.create_simple(value.shape)
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(value.dtype), space, properties)
    return make


def deflated(shape, chunk, level=9):
    def make(file, name, value):
        data = file.create_dataset(name, shape=shape, dtype=value.dtype, chunks=chunk, compression='gzip',
                                   compression_opts=level)
        step = chunk[0]
        for first in range(0, shape[0], step):
            data[first:first + step] = 0
    return make


def wide_chunk(mebibytes):
    """A chunk for a few bytes."""
    def make(file, name, value):
        data = file.create_dataset(name, shape=value.shape, maxshape=(None,), dtype=value.dtype,
                                   chunks=(mebibytes << 20,), compression='gzip', compression_opts=1)
        data[...] = value
    return make


def put(shape=None, dtype=None, value=None, **more):
    def make(file, name, _):
        if value is not None:
            file.create_dataset(name, data=value, **more)
        else:
            file.create_dataset(name, shape=shape, dtype=dtype, **more)
    return make


def offsets(*numbers):
    return replaced('doc/offsets', put(value=np.array(numbers)))


def link(name, target):
    def edit(file):
        del file[name]
        file[name] = target
    return edit


def attribute(name, value):
    return lambda file: file.attrs.create(name, value)


def edits():
    """(name, edit, code, message)."""
    for name in ('doc/offsets', 'doc/text', 'doc/id'):
        yield f'{name} external', replaced(name, external('other.bin')), 65, 'external storage'
        yield f'{name} of /etc/passwd', replaced(name, external('/etc/passwd')), 65, 'external storage'
        yield f'{name} virtual', replaced(name, virtual) if name != 'doc/id' else replaced(
            name, lambda file, name, value: virtual(file, name, np.zeros(5, 'u8'))), 65, 'virtual dataset'
        yield f'{name} a soft link', link(name, h5py.SoftLink('/doc/offsets')), 65, 'a soft link'
        yield f'{name} a soft link to nothing', link(name, h5py.SoftLink('/nothing')), 65, 'a soft link'
        yield f'{name} a soft link to itself', link(name, h5py.SoftLink('/' + name)), 65, 'a soft link'
        yield f'{name} an external link', link(name, h5py.ExternalLink('other.h5', '/x')), 65, 'an external link'
        yield f'{name} an external link to itself', link(name, h5py.ExternalLink('.', '/' + name)), 65, 'an external link'
        yield f'{name} a group', replaced(name, lambda file, name, _: file.create_group(name)), 65, 'is not a dataset'
        yield f'{name} a type', replaced(name, lambda file, name, _: file.__setitem__(name, np.dtype('u8'))), 65, \
            'is not a dataset'
        yield f'{name} absent', lambda file, name=name: file.__delitem__(name), {0} if name == 'doc/id' else 65, ''
        for kind, dtype in (('float', 'f8'), ('compound', [('a', 'u8')]), ('complex', 'c16'), ('opaque', 'V8'),
                            ('array', '(2,)u8'), ('bool', '?'), ('reference', h5py.ref_dtype)):
            code = {0, 65} if kind in ('float', 'bool') or name == 'doc/id' and kind == 'float' else 65
            rows = 6 if name == 'doc/offsets' else 5 if name == 'doc/id' else SIZE
            yield f'{name} of type {kind}', replaced(name, put(shape=(rows,), dtype=dtype)), \
                65 if kind not in ('bool', 'float') else {0, 65}, ''
        for shape in ((), (2, 3, 4), (0,), (3, 2)):
            yield f'{name} of shape {shape}', replaced(name, put(shape=shape, dtype='u8')), 65, ''
        for rows in (2 ** 40, 2 ** 60, 2 ** 63 - 1):
            yield f'{name} of {rows} rows', replaced(name, put(shape=(rows,), dtype='u1', chunks=(1024,))), 65, ''
        yield f'{name} with 2^60 rows, never written', replaced(name, put(shape=(1000,), dtype='u8', chunks=(10,))), 65, \
            ''
        for code, what in ((307, 'bzip2'), (32001, 'blosc'), (32015, 'zstd'), (256, 'made up'), (3, 'fletcher32'),
                           (4, 'szip'), (5, 'nbit'), (6, 'scaleoffset'), (65535, 'the last')):
            if what not in ('szip', 'nbit', 'scaleoffset'):
                yield f'{name} with filter {what}', replaced(name, filtered(code, 1, 2)), 65, 'is compressed with filter' \
                    if name != 'doc/id' else ''
    yield 'doc a soft link', lambda file: (file.move('doc', 'real'), file.__setitem__('doc', h5py.SoftLink('/real'))), 65, \
        'a soft link'
    yield 'doc an external link', lambda file: (file.__delitem__('doc'), file.__setitem__(
        'doc', h5py.ExternalLink('other.h5', '/doc'))), 65, 'an external link'
    yield 'doc an external link to a FIFO', lambda file: (file.__delitem__('doc'), file.__setitem__(
        'doc', h5py.ExternalLink('/dev/stdin', '/doc'))), 65, 'an external link'
    yield 'doc in itself', lambda file: file['doc'].__setitem__('doc', file['doc']), 0, 'layout'
    yield 'text virtual, of itself', replaced('doc/text', virtual_of_itself), 65, 'virtual dataset'
    yield 'text virtual, without end', replaced('doc/text', unlimited_virtual), 65, 'virtual dataset'
    yield 'text inflates 1000 : 1', replaced('doc/text', deflated((400 << 20,), (8 << 20,))), 65, 'decompression bomb'
    yield 'offsets inflate 1000 : 1', replaced('doc/offsets', deflated((30 << 20,), (1 << 20,))), 65, 'decompression bomb'
    yield 'a chunk of 64 MiB', replaced('doc/text', wide_chunk(64)), 0, 'layout'
    yield 'a chunk of 65 MiB', replaced('doc/text', wide_chunk(65)), 65, 'has chunks of'
    yield 'a chunk of 256 MiB', replaced('doc/text', wide_chunk(256)), 65, 'has chunks of'
    yield 'plain chunks of 256 MiB', replaced('doc/text', put(shape=(SIZE,), maxshape=(None,), dtype='u1',
                                                              chunks=(256 << 20,))), 65, 'are stored'
    yield 'plain chunks over 256 MiB', replaced('doc/text', put(shape=(SIZE,), maxshape=(None,), dtype='u1',
                                                          chunks=((256 << 20) + 1,))), 65, 'has chunks of'
    yield 'good offsets', offsets(0, 12, 20, 35, 535, SIZE), 0, 'layout'
    for numbers in ((1, 12, 20, 35, 535, SIZE), (0, 12, 20, 35, 535, SIZE + 1), (0, 12, 20, 35, 535, SIZE - 1),
                    (0, 20, 12, 35, 535, SIZE), (0, 12, 20, 35, 10 ** 9, SIZE), (0, 12, 20, -1, 535, SIZE),
                    (0, SIZE, 0, SIZE, 0, SIZE), (0, 12, 2 ** 63 - 1, 35, 535, SIZE)):
        yield f'offsets {numbers}', offsets(*numbers), 65, '/doc/offsets'
    yield 'offsets of 2^64 - 1', replaced('doc/offsets', put(value=np.array(
        [0, 12, 2 ** 64 - 1, 35, 535, SIZE], 'u8'))), 65, '/doc/offsets'
    for numbers in ((), (0,), (SIZE,), (0, SIZE)):
        yield f'offsets {numbers}', offsets(*numbers), 65, ''
    yield 'ids too few', replaced('doc/id', put(value=[b'a'] * 4)), 65, 'expected 5'
    yield 'ids too many', replaced('doc/id', put(value=[b'a'] * 6)), 65, 'expected 5'
    for name in ('status', 'split', 'bytes', 'words'):
        yield f'{name} too short', lambda file, name=name: file.create_dataset('doc/' + name, data=[0]), 65, 'expected 5'
        yield f'{name} of text', lambda file, name=name: file.create_dataset('doc/' + name, data=[b'x'] * 5), {0, 65}, ''
    yield 'status 200', lambda file: file.create_dataset('doc/status', data=np.array([0, 200, 0, 0, 0], 'u1')), 65, \
        '/doc/status'
    yield 'split out of range', lambda file: file.create_dataset('doc/split', data=[-1, 2 ** 62, 0, 1, 2]), 0, 'layout'
    yield 'text and tokens', lambda file: file.create_dataset('doc/tokens', data=np.zeros(5, 'u2')), 65, 'both'
    yield 'text of two bytes', replaced('doc/text', put(value=np.zeros(SIZE, 'u2'))), 65, 'expected uint8'
    yield 'text not UTF-8', replaced('doc/text', put(value=np.full(SIZE, 255, 'u1'))), {0, 65}, ''
    for value in ('thresher-part', '', 'x' * 60000, np.array(['a', 'b'], 'S1'), 7, np.zeros(0, 'S1'), h5py.Empty('S1')):
        yield f'format {str(value)[:20]!r}', attribute('format', value), 65, ''
    for value in (0, 2, -1, 2 ** 31, 2 ** 62, 'x', 1.5, np.array([1, 1])):
        yield f'version {value!r}', attribute('version', value), 65, 'version'


def raw(path, folder):
    """Whole files that are no HDF5, or only half of it: (name, bytes)."""
    good = good_corpus(folder / 'good.h5').read_bytes()
    for size in (0, 1, 8, 9, 64, 96, 512, 1024, 2048, len(good) // 2, len(good) - 1):
        yield f'cut after {size} bytes', good[:size]
    yield 'a userblock of 512', good_corpus(folder / 'userblock.h5', userblock_size=512).read_bytes()
    yield 'an end of file of 2^63', good[:40] + struct.pack('<Q', 2 ** 63) + good[48:]
    yield 'an end of file of 0', good[:40] + struct.pack('<Q', 0) + good[48:]
    for version in range(4, 8):
        yield f'superblock version {version}', good[:8] + bytes([version]) + good[9:]
    yield 'sizes of 255', good[:13] + b'\xff\xff' + good[15:]
    yield 'only a signature', b'\x89HDF\r\n\x1a\n' * 1000
    yield 'pickle', b'\x80\x02}q\x00.'


def cases(folder):
    model = FIXTURES / 'mistral'
    with h5py.File(folder / 'other.h5', 'w') as other:
        other['x'] = np.arange(6)
        other['doc/offsets'] = np.arange(6)
    write(folder / 'other.bin', bytes(4096))

    def case(name, path, code, message):
        return Case('corpus, ' + name, ['plan', '--model', model, '--corpus', path, '--machine', MACHINE, '--ranks', 1], code,
                    message, path)

    for number, (name, edit, code, message) in enumerate(edits()):
        path = good_corpus(folder / f'corpus-{number}.h5')
        with h5py.File(path, 'r+') as file:
            edit(file)
        yield case(name, path, code, message)
        if number % 3 == 0:
            yield Case('inspect corpus, ' + name, ['inspect', path], None, '', path)
    for number, (name, content) in enumerate(raw(None, folder)):
        path = write(folder / f'raw-{number}.h5', content)
        yield case(name, path, {64, 65}, '')
        yield Case('inspect, ' + name, ['inspect', path], {0} if 'userblock' in name else 65, '', path)
