"""Texts of import: JSONL, lines and paragraphs, plain or compressed. A bad row is a row, never the end of an import."""
import gzip
import json
import struct
import zlib

import h5py
from case import Case, write

STATUS = ['ok', 'invalid_utf8', 'not_json', 'missing_field', 'wrong_type', 'too_long', 'empty', 'bad_id', 'damaged']


def row(text, **more):
    return json.dumps({'text': text, **more}, ensure_ascii=False).encode('utf-8', 'surrogatepass')


def lines():
    """(one line of JSONL, its status)."""
    yield row('plain'), 'ok'
    yield row('größer 数据 🙂'), 'ok'
    yield b'{"text":"\\ud83d\\ude42"}', 'ok'
    yield b'{"text":"\\u0000"}', 'ok'
    yield b' \t{"text":"spaces"} \t', 'ok'
    yield b'{"text":"carriage return"}\r', 'ok'
    yield b'{"other":[1,{"a":null}],"text":"x"}', 'ok'
    yield b'{"text":"first","text":"second"}', 'ok'
    for raw in (b'\xff', b'\xc0\xaf', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'\xe4\xbd', b'\x80', b'\xf8\x88\x80\x80\x80'):
        yield b'{"text":"' + raw + b'"}', 'invalid_utf8'
    yield b'{"text":"x","' + b'\xff' + b'":1}', 'invalid_utf8'
    for half in (b'\\ud800', b'\\udfff', b'\\ud800\\u0041', b'\\ud800\\ud800', b'\\ud83dx'):
        yield b'{"text":"' + half + b'"}', 'invalid_utf8'
    for bad in (b'{', b'}', b'{"text"}', b'{"text":}', b'{"text":"x"', b'{"text":"x"}}', b'{"text":"x"} {}', b'{"text":"x",}',
                b"{'text':'x'}", b'{text:"x"}', b'{"text":"\\x"}', b'{"text":"\\u12"}', b'{"text":"a\x01b"}', b'nonsense',
                b'{"text":NaN}', b'{"text":01}', b'{"text":"x","a":+1}', b'{"text":"x","a":1e}', b'{"text":"x","a":.5}',
                b'\xef\xbb\xbf{"text":"a mark in the middle"}', b'\x00', b'{"text":"x"}\x00', b'[' * 2000,
                b'[' * 2000 + b']' * 2000, b'{"a":' * 2000 + b'1' + b'}' * 2000, b'{"text":"x","a":' + b'9' * 5000 + b'e}'):
        yield bad, 'not_json'
    for bad in (b'{}', b'{"Text":"x"}', b'{"text ":"x"}', b'{"a":{"text":"x"}}', b'{"text\\u0000":"x"}'):
        yield bad, 'missing_field'
    for bad in (b'[]', b'7', b'"text"', b'null', b'true', b'[{"text":"x"}]', b'{"text":null}', b'{"text":7}', b'{"text":[]}',
                b'{"text":{}}', b'{"text":true}', b'{"text":["x"]}'):
        yield bad, 'wrong_type'
    yield row(''), 'empty'
    for good in ('x', 7, -7, 2 ** 63 - 1, 2 ** 64 - 1, -2 ** 63, '', None, 'i' * 256, 'größer', 'a\nb'):
        yield row('with an id', id=good), 'ok'
    for bad in ('i' * 257, 1.5, [], {}, True, 'a\0b', 1e300):
        yield row('with an id', id=bad), 'bad_id'
    yield b'{"text":"x","id":18446744073709551616}', None
    yield row('x' * 100000), 'ok'


def zst_raw(content, size=None):
    """A frame of uncompressed blocks, made by hand; `size` is what it declares."""
    frame = b'\x28\xb5\x2f\xfd' + (b'\x00\x58' if size is None else b'\xe0' + struct.pack('<Q', size))
    pieces = [content[at:at + 1000] for at in range(0, len(content), 1000)] or [b'']
    for i, piece in enumerate(pieces):
        frame += struct.pack('<I', (i + 1 == len(pieces)) | len(piece) << 3)[:3] + piece
    return frame


def zst_runs(count):
    """A frame of `count` blocks that each stand for 128 KiB of one character in four bytes."""
    blocks = b''.join(struct.pack('<I', (i + 1 == count) | 1 << 1 | (128 << 10) << 3)[:3] + b'x' for i in range(count))
    return b'\x28\xb5\x2f\xfd\x00\x58' + blocks


def files():
    """(name, file name, the file, format, rows by status, message)."""
    three = row('one') + b'\n' + row('two') + b'\n' + row('three') + b'\n'
    yield 'empty', 'a.jsonl', b'', 'jsonl', {}, ''
    yield 'only a mark', 'a.jsonl', b'\xef\xbb\xbf', 'jsonl', {}, ''
    yield 'mark', 'a.jsonl', b'\xef\xbb\xbf' + three, 'jsonl', {'ok': 3}, ''
    yield 'half a mark', 'a.jsonl', b'\xef\xbb' + three, 'jsonl', {'invalid_utf8': 1, 'ok': 2}, ''
    yield 'UTF-16', 'a.jsonl', three.decode().encode('utf-16'), 'jsonl', None, ''
    yield 'CRLF', 'a.jsonl', three.replace(b'\n', b'\r\n'), 'jsonl', {'ok': 3}, ''
    yield 'CR alone', 'a.jsonl', three.replace(b'\n', b'\r'), 'jsonl', {'not_json': 1}, ''
    yield 'no end of line', 'a.jsonl', three[:-1], 'jsonl', {'ok': 3}, ''
    yield 'blank lines', 'a.jsonl', b'\n\n' + three + b'\n \n\t\n', 'jsonl', {'ok': 3}, ''
    yield 'zeros', 'a.jsonl', bytes(100000), 'jsonl', {'not_json': 1}, ''
    yield 'zeros as lines', 'a.txt', bytes(1000), 'lines', {'ok': 1}, ''
    yield '100,000 bad lines', 'a.jsonl', b'{\n' * 100000, 'jsonl', {'not_json': 100000}, ''
    yield 'a line of 80 MB', 'a.jsonl', row('x' * 80_000_000), 'jsonl', {'too_long': 1}, ''
    yield 'a text of 64 MiB', 'a.jsonl', row('x' * (64 << 20)) + b'\n' + three, 'jsonl', {'ok': 4}, ''
    yield 'a text of 64 MiB and 1', 'a.jsonl', row('x' * ((64 << 20) + 1)) + b'\n' + three, 'jsonl', {'too_long': 1, 'ok': 3}, ''
    yield 'a line of text over 64 MiB', 'a.txt', b'x' * ((64 << 20) + 1) + b'\nok\n', 'lines', {'too_long': 1, 'ok': 1}, ''
    yield 'invalid UTF-8 as lines', 'a.txt', b'good\n\xff\xfe\ngood\n', 'lines', {'ok': 2, 'invalid_utf8': 1}, ''
    yield 'invalid UTF-8 as paragraphs', 'a.txt', b'good\n\n\xff\xfe\n\ngood\n', 'paragraphs', {'ok': 2, 'invalid_utf8': 1}, ''
    yield 'only blank lines as paragraphs', 'a.txt', b'\n' * 100000, 'paragraphs', {}, ''
    packed = gzip.compress(three, mtime=0)
    yield 'gz', 'a.jsonl.gz', packed, 'jsonl', {'ok': 3}, ''
    yield 'gz without the name', 'a.jsonl', packed, 'jsonl', {'ok': 3}, ''
    yield 'gz, two members', 'a.jsonl.gz', packed + packed, 'jsonl', {'ok': 6}, ''
    yield 'gz, an empty member', 'a.jsonl.gz', gzip.compress(b''), 'jsonl', {}, ''
    yield 'gz, zeros behind', 'a.jsonl.gz', packed + bytes(512), 'jsonl', {'ok': 3}, ''
    for cut in (2, 3, 9, 10, 11, len(packed) // 2, len(packed) - 8, len(packed) - 4, len(packed) - 1):
        yield f'gz cut at {cut}', 'a.jsonl.gz', packed[:cut], 'jsonl', None, 'damaged'
    yield 'gz, text behind', 'a.jsonl.gz', packed + b'text', 'jsonl', {'ok': 3, 'damaged': 1}, 'damaged'
    for at in (2, 3, 10, len(packed) // 2, len(packed) - 8, len(packed) - 1):
        changed = packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1:]
        yield f'gz, byte {at} changed', 'a.jsonl.gz', changed, 'jsonl', None, 'damaged'
    yield 'no gz for its name', 'a.jsonl.gz', three, 'jsonl', None, 'damaged'
    yield 'no zst for its name', 'a.jsonl.zst', three, 'jsonl', None, 'damaged'
    yield 'zlib for its name', 'a.jsonl.gz', zlib.compress(three), 'jsonl', None, 'damaged'
    bomb = gzip.compress(b'x' * (100 << 20), 9)
    yield 'gz, 100 MiB of one line', 'a.jsonl.gz', bomb, 'jsonl', None, ''
    yield 'gz, 100 MiB of one line of text', 'a.txt.gz', bomb, 'lines', {'too_long': 1, 'damaged': 1}, ''
    yield 'gz in gz', 'a.txt.gz', gzip.compress(bomb), 'lines', None, ''
    values = b'{"text":"x","a":[' + b'1,' * 30_000_000 + b'1]}\n'
    yield 'gz, a line of 30 million values', 'a.jsonl.gz', gzip.compress(values + three, 9), 'jsonl', {'too_long': 1, 'ok': 3}, ''
    yield 'gz, a line of 60 million brackets', 'a.jsonl.gz', gzip.compress(b'[' * 60_000_000 + b'\n' + three, 9), 'jsonl', None, ''
    yield 'gz, 60 million quotes', 'a.jsonl.gz', gzip.compress(b'"' * 60_000_000 + b'\n' + three, 9), 'jsonl', None, ''
    frame = zst_raw(three)
    yield 'zst', 'a.jsonl.zst', frame, 'jsonl', {'ok': 3}, ''
    yield 'zst, two frames', 'a.jsonl.zst', frame + frame, 'jsonl', {'ok': 6}, ''
    yield 'zst, a skippable frame', 'a.jsonl.zst', b'\x50\x2a\x4d\x18\x04\0\0\0abcd' + frame, 'jsonl', {'ok': 3}, ''
    yield 'zst, a skippable frame of 4 GiB', 'a.jsonl.zst', b'\x50\x2a\x4d\x18\xff\xff\xff\xffabcd' + frame, 'jsonl', None, \
        'damaged'
    for cut in (4, 5, 6, 9, len(frame) // 2, len(frame) - 1):
        yield f'zst cut at {cut}', 'a.jsonl.zst', frame[:cut], 'jsonl', None, 'damaged'
    yield 'zst that declares 2^63 bytes', 'a.jsonl.zst', zst_raw(three, 2 ** 63), 'jsonl', None, 'damaged'
    yield 'zst that declares less', 'a.jsonl.zst', zst_raw(three, 1), 'jsonl', None, 'damaged'
    yield 'zst, reserved block', 'a.jsonl.zst', frame[:6] + b'\x07\x00\x00' + frame[9:], 'jsonl', None, 'damaged'
    yield 'zst, window of 3.75 TiB', 'a.jsonl.zst', frame[:5] + b'\xff' + frame[6:], 'jsonl', None, 'damaged'
    yield 'zst, window of 128 MiB', 'a.jsonl.zst', frame[:5] + b'\x88' + frame[6:], 'jsonl', {'ok': 3}, ''
    yield 'zst, a dictionary', 'a.jsonl.zst', b'\x28\xb5\x2f\xfd\x01\x58\x07' + frame[6:], 'jsonl', None, 'damaged'
    yield 'zst, 32,000 : 1', 'a.txt.zst', zst_runs(8000), 'lines', None, 'decompression bomb'


def statuses_of(path):
    with h5py.File(path) as file:
        codes = file['doc/status'][...] if 'doc/status' in file else []
        count = len(file['doc/offsets']) - 1
        names = [STATUS[code] for code in codes] or ['ok'] * count
        return {name: names.count(name) for name in names}


def cases(folder):
    def imported(name, file, format, expected, message, more=()):
        output = folder / (file.parent.name + '.h5')

        def good(outcome):
            found = statuses_of(output)
            if expected is not None and found != expected:
                return f'rows {found}, expected {expected}'
            rejects = (output.parent / (output.name + '.rejects.jsonl'))
            told = rejects.read_text() if rejects.exists() else ''
            for line in told.splitlines():
                json.loads(line)
            return '' if message in told + outcome.err else f'no "{message}" in {told[:200]}'
        return Case(name, ['import', '--input', file, '--output', output, '--format', format, '--rejects',
                           output.parent / (output.name + '.rejects.jsonl'), *more], 0, '', file, good)

    every = list(lines())
    file = write(folder / 'lines' / 'a.jsonl', b'\n'.join(line for line, _ in every) + b'\n')
    wanted = [status for _, status in every]

    def row_by_row(outcome):
        with h5py.File(folder / 'lines.h5') as done:
            found = [STATUS[code] for code in done['doc/status'][...]]
        if len(found) != len(wanted):
            return f'{len(found)} rows, expected {len(wanted)}'
        wrong = [(every[i][0][:60], found[i], wanted[i]) for i in range(len(found)) if wanted[i] and found[i] != wanted[i]]
        return f'{wrong}' if wrong else ''
    whole = imported(f'text, {len(every)} lines of JSONL', file, 'jsonl', None, '')
    whole.good = row_by_row
    yield whole
    for number, (name, file_name, content, format, expected, message) in enumerate(files()):
        file = write(folder / f'text-{number}' / file_name, content)
        yield imported('text, ' + name, file, format, expected, message)
